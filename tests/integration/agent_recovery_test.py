#!/usr/bin/python3
"""kill -9 of agent-svc while containers run: they run on, and true exit statuses are told."""

import json
import os
import subprocess
import unittest

import cluster

TASKS = 20
ENDING = range(1, TASKS, 2)  # end while the agent is down
LASTING = range(0, TASKS, 2)  # run on until it is back


@cluster.needs_root
class AgentRecovery(unittest.TestCase):
    def setUp(self):
        self.services = self.enterContext(cluster.Services())
        registry = self.services.registry("--lease_ttl=3s")
        self.master = self.services.master(registry, self.services.allocator())
        self.agent = self.services.agent(self.master, resources="cpus:8;mem:4096;disk:1024")
        self.report = self.services.folder / "report.json"
        self.started = self.services.folder / "started"
        self.started.mkdir(mode=0o777)

    def start_job(self):
        """Task i says that it runs, waits for the word to its half of them, and exits with i."""
        job = self.services.folder / "job.json"
        commands = {
            i: f"touch {self.started}/{i}; "
            f"while [ ! -e {self.services.folder}/{'end' if i in ENDING else 'last'} ]; "
            f"do sleep 0.05; done; exit {i}"
            for i in range(TASKS)
        }
        job.write_text(
            json.dumps(
                {
                    "name": "recovery",
                    "role": "*",
                    "user": "root",
                    "defaults": {"cpus": 0.2, "mem": 32},
                    "tasks": [
                        {"name": f"task-{i}", "command": command}
                        for i, command in commands.items()
                    ],
                }
            )
        )
        work = subprocess.Popen(
            [
                str(self.services.bin / "tessera"),
                "run",
                f"--master={self.master.grpc}",
                f"--job={job}",
                f"--report={self.report}",
                "--attempts=1",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(work.kill)
        return work

    def containers(self):
        """Pid of each container's init, and its wait status once it has ended, by container id."""
        found = {}
        for path in (self.services.folder / "agent-1" / "run" / "containers").iterdir():
            words = {w[0]: w[1:] for w in map(str.split, path.read_text().splitlines())}
            exited = words.get("exited")
            found[path.name] = (int(words["init"][0]), int(exited[0]) if exited else None)
        return found

    def running_tasks(self):
        return cluster.metric(self.agent.metrics(), "tessera_agent_tasks", state="running")

    def test_exit_statuses_survive_the_agent(self):
        work = self.start_job()
        cluster.wait_for(
            lambda: len(list(self.started.iterdir())) == TASKS, 40, "the start of every task"
        )
        cluster.wait_for(lambda: self.running_tasks() == TASKS, 40, "every task running")
        before = self.containers()
        self.agent.kill()

        # Half of them end now, with nobody watching: their inits have written it down and are gone.
        (self.services.folder / "end").touch()
        cluster.wait_for(
            lambda: sum(status is not None for _, status in self.containers().values())
            == len(ENDING),
            40,
            "the ends without an agent",
        )
        down = self.containers()
        self.assertEqual(
            {os.waitstatus_to_exitcode(s) for _, s in down.values() if s is not None}, set(ENDING)
        )
        for pid, status in down.values():
            if status is None:
                os.kill(pid, 0)
        self.assertIsNone(work.poll())
        self.assertFalse(self.agent.running())

        self.agent.start()
        cluster.wait_for(
            lambda: cluster.metric(self.agent.metrics(), "tessera_agent_registered") == 1
            and self.running_tasks() == len(LASTING),
            40,
            "the agent with what runs on",
        )
        still = {c: pid for c, (pid, status) in self.containers().items() if status is None}
        self.assertEqual(still, {c: before[c][0] for c, (_, s) in down.items() if s is None})
        for pid in still.values():
            os.kill(pid, 0)
        (self.services.folder / "last").touch()
        _, errors = work.communicate(timeout=60)

        tasks = {t["name"]: t for t in json.loads(self.report.read_text())["tasks"]}
        self.assertEqual(len(tasks), TASKS, errors)
        for i in range(TASKS):
            task = tasks[f"task-{i}"]
            self.assertEqual(os.waitstatus_to_exitcode(task["wait_status"]), i, task)
            self.assertEqual(task["state"], "TASK_FINISHED" if i == 0 else "TASK_FAILED", task)
            self.assertEqual(task["attempts"], 1, task)
            self.assertEqual(task["terminal_updates"], 1, task)


if __name__ == "__main__":
    cluster.main()
