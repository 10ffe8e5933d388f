#!/usr/bin/python3
"""kill -9 of agent-svc while containers run: they run on, and true exit statuses are told."""

import json
import os
import subprocess
import unittest

import cluster

TASKS = 20


@cluster.needs_root
class AgentRecovery(unittest.TestCase):
    def test_exit_statuses_survive_the_agent(self):
        with cluster.Services() as services:
            registry = services.registry("--lease_ttl=3s")
            master = services.master(registry, services.allocator())
            agent = services.agent(master, resources="cpus:8;mem:4096;disk:1024")
            job = services.folder / "job.json"
            report = services.folder / "report.json"
            started = services.folder / "started"
            started.mkdir(mode=0o777)
            # Half of them end while the agent is down, half after it is back.
            job.write_text(
                json.dumps(
                    {
                        "name": "recovery",
                        "role": "*",
                        "user": "root",
                        "defaults": {"cpus": 0.2, "mem": 32},
                        "tasks": [
                            {
                                "name": f"task-{i}",
                                "command": f"touch {started}/{i}; "
                                f"sleep {2 if i % 2 else 6}; exit {i}",
                            }
                            for i in range(TASKS)
                        ],
                    }
                )
            )
            work = subprocess.Popen(
                [
                    str(services.bin / "tessera"),
                    "run",
                    f"--master={master.grpc}",
                    f"--job={job}",
                    f"--report={report}",
                    "--attempts=1",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self.addCleanup(work.kill)
            cluster.wait_for(
                lambda: len(list(started.iterdir())) == TASKS, 20, "the start of every task"
            )
            agent.kill()
            # The short tasks end now, with nobody watching.
            deadline = cluster.time.monotonic() + 2.5
            while cluster.time.monotonic() < deadline:
                self.assertIsNone(work.poll())
                cluster.time.sleep(0.1)
            agent.start()
            _, errors = work.communicate(timeout=30)
            tasks = {t["name"]: t for t in json.loads(report.read_text())["tasks"]}
            self.assertEqual(len(tasks), TASKS, errors)
            for i in range(TASKS):
                task = tasks[f"task-{i}"]
                self.assertEqual(os.waitstatus_to_exitcode(task["wait_status"]), i, task)
                self.assertEqual(task["state"], "TASK_FINISHED" if i == 0 else "TASK_FAILED", task)
                self.assertEqual(task["attempts"], 1, task)
                self.assertEqual(task["terminal_updates"], 1, task)


if __name__ == "__main__":
    cluster.main()
