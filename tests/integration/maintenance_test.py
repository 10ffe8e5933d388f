#!/usr/bin/python3
"""`tessera maintenance` on a real cluster: a machine drains, goes down with its task, whose
framework starts it elsewhere, and comes back."""

import json
import subprocess
import unittest

import cluster


@cluster.needs_root
class Maintenance(unittest.TestCase):
    """Two agents, `agent-1` and `agent-2`, which are machines by these names."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(cluster.LocalCluster(agents=2))
        cls.cluster.await_agents()

    def maintenance(self, *arguments):
        result = self.cluster.tessera("maintenance", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def apply(self, schedule):
        file = self.cluster.folder / "schedule.json"
        file.write_text(json.dumps(schedule))
        return self.cluster.tessera("maintenance", "schedule", "apply", "-f", str(file))

    def start_task(self):
        process = subprocess.Popen(
            self.cluster.argv("run", "--name=service", "--attempts=5", "sleep 100"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def hostnames(self):
        """By id, of the agents that are connected."""
        return {
            view["agent"]["info"]["id"]: view["agent"]["info"]["hostname"]
            for view in self.cluster.json("agents")
            if view["agent"]["state"] == "AGENT_STATE_CONNECTED"
        }

    def await_running(self, but_on=None):
        """The agent's hostname of the task that runs, and is not on that agent."""

        def running():
            hostnames = self.hostnames()
            for view in self.cluster.json("tasks"):
                hostname = hostnames.get(view["task"]["agent_id"])
                if view["task"]["state"] == "TASK_RUNNING" and hostname not in (None, but_on):
                    return hostname
            return None

        return cluster.wait_for(running, 30, "a running task", pause=0.2)

    def test_a_machine_goes_down_and_comes_back(self):
        self.start_task()
        hostname = self.await_running()
        (agent_id,) = [i for i, name in self.hostnames().items() if name == hostname]
        window = {"machines": [hostname.upper()], "start": "2040-01-01T00:00:00Z", "duration": "2h"}
        applied = self.apply({"windows": [window]})
        self.assertEqual(applied.returncode, 0, applied.stderr)
        self.assertIn(f"{hostname}  2040-01-01T00:00:00Z  2h", self.maintenance("schedule", "show"))
        self.assertIn("draining", self.maintenance("status"))
        status = self.cluster.json("maintenance", "status")
        self.assertEqual([d["machine"]["hostname"] for d in status["draining"]], [hostname])

        # What was read may be applied once: then somebody else has read another one.
        schedule = self.cluster.json("maintenance", "schedule", "show")
        schedule["windows"][0]["duration"] = "3h"
        self.assertEqual(self.apply(schedule).returncode, 0)
        stale = self.apply(schedule)
        self.assertEqual(stale.returncode, 1)
        self.assertIn("read it again", stale.stderr)

        self.maintenance("start", hostname)
        cluster.wait_for(lambda: agent_id not in self.hostnames(), 10, "the agent's end")
        self.assertNotEqual(self.await_running(but_on=hostname), hostname)
        status = self.cluster.json("maintenance", "status")
        self.assertEqual([m["hostname"] for m in status["down"]], [hostname])
        self.assertNotIn(hostname, self.hostnames().values())

        # It is remembered by the next leader.
        self.cluster.kill("master")
        status = cluster.wait_for(
            lambda: self.cluster.json("maintenance", "status"), 20, "the next leader"
        )
        self.assertEqual([m["hostname"] for m in status["down"]], [hostname])

        self.maintenance("stop", hostname)
        cluster.wait_for(
            lambda: hostname in self.hostnames().values(), 60, "the agent's return", pause=0.5
        )
        self.assertNotIn(agent_id, self.hostnames())
        self.assertEqual(self.cluster.json("maintenance", "schedule", "show")["windows"], [])

    def test_wrong_usage_is_told(self):
        for arguments, status, word in (
            (["start"], 2, "name the machines"),
            (["start", "nobody"], 1, "not in the schedule"),
            (["stop", "nobody"], 1, "not down"),
            (["start", "a b"], 2, "hostname"),
            (["status", "now"], 2, "unexpected"),
            (["schedule", "apply"], 2, "-f FILE"),
            (["schedule", "apply", "-f", "/nonexistent"], 1, "/nonexistent"),
        ):
            with self.subTest(arguments=arguments):
                result = self.cluster.tessera("maintenance", *arguments)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(word, result.stderr)
        bad = self.apply({"windows": [{"machines": ["a"], "start": "soon"}]})
        self.assertEqual(bad.returncode, 2)
        self.assertIn("windows[0].start", bad.stderr)


if __name__ == "__main__":
    cluster.main()
