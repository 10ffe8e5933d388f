#!/usr/bin/python3
"""The registry's data is lost: with --epoch_at_least agents come back, with their running tasks."""

import json
import shutil
import signal
import subprocess
import unittest

import cluster


@cluster.needs_root
class RegistryLoss(unittest.TestCase):
    def setUp(self):
        self.services = self.enterContext(cluster.Services())
        self.registry = self.services.registry("--lease_ttl=1s")
        self.allocator = self.services.allocator()
        self.master = self.services.master(self.registry, self.allocator)
        self.state = self.services.state(self.master)
        self.agent = self.services.agent(self.master, flags=["--registration_backoff_max=1s"])

    def agent_epoch(self):
        """The highest epoch that the agent has obeyed; None while it is not registered."""
        metrics = self.agent.metrics()
        if cluster.metric(metrics, "tessera_agent_registered") != 1:
            return None
        return int(cluster.metric(metrics, "tessera_agent_epoch"))

    def read(self, what):
        result = subprocess.run(
            [
                str(self.services.bin / "tessera"),
                what,
                f"--state={self.state.grpc}",
                "--output=json",
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return json.loads(result.stdout)

    def agent_ids(self):
        return [a["agent"]["info"]["id"] for a in self.read("agents")]

    def start_task(self):
        """A task that exits with 5 when it is told to."""
        started, go = self.services.folder / "started", self.services.folder / "go"
        work = subprocess.Popen(
            [
                str(self.services.bin / "tessera"),
                "run",
                f"--master={self.master.grpc}",
                "--attempts=1",
                "--follow=false",
                f"touch {started}; while [ ! -e {go} ]; do sleep 0.05; done; exit 5",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(work.kill)
        cluster.wait_for(started.exists, 40, "the task's start")
        return work, go

    def lose(self):
        """Everything that the registry knew is gone; it serves again, empty."""
        self.registry.kill()
        shutil.rmtree(self.services.folder / "registry" / "data")
        self.registry.start()

    def test_agents_come_back_with_their_tasks(self):
        cluster.wait_for(self.agent_epoch, 40, "a registered agent")
        work, go = self.start_task()
        # An epoch or two that an empty registry does not have.
        for _ in range(2):
            before = self.agent_epoch()
            self.master.kill()
            self.master.start()
            cluster.wait_for(
                lambda before=before: (self.agent_epoch() or 0) > before, 40, "a new epoch"
            )
        epoch = self.agent_epoch()
        self.assertGreater(epoch, 2)
        ids = cluster.wait_for(self.agent_ids, 40, "the agent in the view", pause=0.2)

        # A framework that asks after its tasks before their agent is back hears that an empty
        # registry knows nothing of them: this one sleeps meanwhile.
        work.send_signal(signal.SIGSTOP)
        self.lose()
        # The master's log says what is wrong, and what to do.
        remedy = f"--epoch_at_least={epoch}"
        cluster.wait_for(lambda: remedy in self.master.log_path.read_text(), 40, "the remedy")
        self.assertIn(remedy, self.agent.log_path.read_text())
        self.assertIsNone(self.agent_epoch())

        self.registry.stop()
        self.registry.flags.append(remedy)
        self.registry.start()
        cluster.wait_for(
            lambda: (self.agent_epoch() or 0) > epoch, 60, "the agent under a higher epoch"
        )
        # It is the same agent, and its task is the one that runs.
        cluster.wait_for(lambda: self.agent_ids() == ids, 40, "the same agent", pause=0.2)
        cluster.wait_for(
            lambda: [t["task"]["state"] for t in self.read("tasks")] == ["TASK_RUNNING"],
            40,
            "the running task",
            pause=0.2,
        )
        work.send_signal(signal.SIGCONT)
        # Needed once: the registry keeps what it was given.
        self.registry.stop()
        self.registry.flags.remove(remedy)
        self.registry.start()
        self.master.kill()
        self.master.start()
        cluster.wait_for(
            lambda: (self.agent_epoch() or 0) > epoch + 1, 60, "the agent under the next epoch"
        )
        cluster.wait_for(
            lambda: cluster.metric(
                self.master.metrics(), "tessera_frameworks", connection="connected"
            )
            == 1,
            40,
            "the framework",
        )
        self.assertIsNone(work.poll())
        go.touch()
        _, errors = work.communicate(timeout=60)
        self.assertEqual(work.returncode, 5, errors)


if __name__ == "__main__":
    cluster.main()
