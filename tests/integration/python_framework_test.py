#!/usr/bin/python3
"""The Python example runs tasks on a real cluster and survives a kill -9 of the master."""

import os
import subprocess
import tempfile
import unittest

import cluster

SCRIPT = cluster.ROOT / "sdk/examples/python/batch_framework.py"


@cluster.needs_root
class PythonFramework(unittest.TestCase):
    def setUp(self):
        stubs = self.enterContext(tempfile.TemporaryDirectory())
        self.environment = {**os.environ, "PYTHONPATH": str(cluster.make_stubs(stubs))}
        self.cluster = self.enterContext(
            cluster.LocalCluster(agents=2, service_flags=["registry:--lease_ttl=2s"])
        )

    def start(self, tasks, command):
        process = subprocess.Popen(
            [
                "/usr/bin/python3",
                str(SCRIPT),
                f"--master={self.cluster.address('master')}",
                f"--tasks={tasks}",
                "--cpus=0.5",
                command,
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def states(self):
        return [t["task"]["state"] for t in self.cluster.json("tasks")]

    def test_runs_tasks(self):
        process = self.start(5, "test -d /proc/1")
        output, _ = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("5 finished, 0 failed", output)

    def test_reports_a_failure(self):
        process = self.start(2, "exit 7")
        output, _ = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("0 finished, 2 failed", output)

    def test_survives_a_restart_of_the_master(self):
        # More tasks than fit at once: some are launched by the old master, some by the new one.
        process = self.start(12, "sleep 2")
        cluster.wait_for(
            lambda: self.states().count("TASK_RUNNING") >= 4, 20, "four running tasks", pause=0.2
        )
        self.cluster.kill("master")
        output, _ = process.communicate(timeout=50)
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("session lost", output)
        self.assertIn("resubscribed as", output)
        self.assertIn("12 finished, 0 failed", output)
        self.assertEqual(self.cluster.services()["master"]["restarts"], 1)


if __name__ == "__main__":
    cluster.main()
