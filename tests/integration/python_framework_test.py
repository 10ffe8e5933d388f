#!/usr/bin/python3
"""The Python example runs tasks on a real cluster and survives a master that is killed or stuck."""

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

    def use_local_cluster(self):
        self.cluster = self.enterContext(
            cluster.LocalCluster(agents=2, service_flags=["registry:--lease_ttl=2s"])
        )

    def start(self, tasks, command, masters=None):
        process = subprocess.Popen(
            [
                "/usr/bin/python3",
                str(SCRIPT),
                f"--master={masters or self.cluster.address('master')}",
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
        self.use_local_cluster()
        process = self.start(5, "test -d /proc/1")
        output, _ = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("5 finished, 0 failed", output)

    def test_reports_a_failure(self):
        self.use_local_cluster()
        process = self.start(2, "exit 7")
        output, _ = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("0 finished, 2 failed", output)

    def test_survives_a_restart_of_the_master(self):
        self.use_local_cluster()
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

    def test_leaves_a_master_that_is_stuck(self):
        services = self.enterContext(cluster.Services())
        registry = services.registry("--lease_ttl=2s")
        allocator = services.allocator()
        masters = [
            services.master(
                registry,
                allocator,
                "--heartbeat_interval=1s",
                "--agent_ping_interval=1s",
                name=f"master-{i}",
            )
            for i in (1, 2)
        ]
        services.agent(*masters, flags=["--registration_backoff_max=1s"])

        def leader():
            return next((m for m in masters if m.metric("tessera_master_leader") == 1), None)

        stuck = cluster.wait_for(leader, 20, "a leader")
        process = self.start(12, "sleep 2", ",".join(m.grpc for m in masters))
        cluster.wait_for(
            lambda: stuck.metric("tessera_tasks", state="running"), 30, "a running task"
        )
        # Its connections stay open, and nothing comes of them.
        stuck.freeze()
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            stuck.thaw()
        self.assertEqual(process.returncode, 0, output)
        self.assertIn(f"session lost: {stuck.grpc} has said nothing for 5 s", output)
        self.assertIn("resubscribed as", output)
        self.assertIn("12 finished, 0 failed", output)


if __name__ == "__main__":
    cluster.main()
