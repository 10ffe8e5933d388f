#!/usr/bin/python3
"""Names that are used again: ids of tasks and executors, and addresses of agents.

Whatever a framework calls what it launches, and however soon it uses a name again, master, agent
and readers mean the same thing by it.
"""

import json
import os
import tempfile
import time
import unittest

import cluster

# A longer trial: ROUNDS=1000 GROUP_ROUNDS=200 LIFE_ROUNDS=10.
ROUNDS = int(os.environ.get("ROUNDS", "100"))
GROUP_ROUNDS = int(os.environ.get("GROUP_ROUNDS", "10"))
EXECUTORS = 5
LIFE_ROUNDS = int(os.environ.get("LIFE_ROUNDS", "2"))
LIFE_EXECUTORS = 20
NEEDS = {"cpus": 100, "mem": 32_000}
EXECUTOR_NEEDS = {"cpus": 60, "mem": 32_000, "disk": 10_000}
GROUP_NEEDS = {"cpus": 300, "mem": 96_000, "disk": 20_000}


class OneAgent(unittest.TestCase):
    RESOURCES = "cpus:8;mem:8192;disk:1024"

    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))
        global ledger
        import ledger

    def setUp(self):
        self.services = self.enterContext(cluster.Services())
        self.registry = self.services.registry("--lease_ttl=2s")
        self.allocator = self.services.allocator()
        self.master = self.services.master(self.registry, self.allocator)
        self.state = self.services.state(self.master)
        self.agent = self.services.agent(
            self.master, resources=self.RESOURCES, flags=["--registration_backoff_max=1s"]
        )

    def framework(self, **options):
        return self.enterContext(ledger.LedgerFramework([self.master.grpc], **options))

    def read_state(self):
        return json.loads(cluster.http_get(self.state.http, "/state"))

    def await_all_free(self, framework, seconds=20):
        """Every resource of the agent is offered in one offer, and /state shows nothing used."""
        whole = {"cpus": 8000, "mem": 8192_000, "disk": 1024_000}
        framework.decline_all()
        framework.revive()  # it may have let offers lie
        offer = framework.take_offer(whole, seconds)
        self.assertEqual(ledger.scalars(offer.resources), whole)
        agent = cluster.wait_for(
            lambda: (lambda a: a if a["used_resources"]["cpus"] == 0 else None)(
                self.read_state()["slaves"][0]
            ),
            10,
            "a /state without anything used",
        )
        self.assertEqual(agent["used_resources"]["mem"], 0)
        self.assertEqual(self.agent.metric("tessera_agent_tasks", state="running"), 0)
        framework.decline([offer.id])


@cluster.needs_root
class IdsUsedAgainAtOnce(OneAgent):
    """The next launch of an id follows on the acknowledgement of the last one's end."""

    def play(self, launch):
        framework = self.framework()
        for number in range(ROUNDS):
            launch(framework, number)
            status = framework.await_end("again")
            told = [ledger.state_name(s.state) for s in framework.entries["again"][-1].told]
            self.assertEqual(
                ledger.state_name(status.state),
                "TASK_FINISHED",
                f"round {number}: told {told}: {status.message}",
            )
        executions = self.counting.executions()
        self.assertEqual(executions["again"], ROUNDS)
        return framework

    def setUp(self):
        super().setUp()
        self.counting = ledger.CountingTask(self.services.folder / "marks")

    def test_a_task(self):
        def launch(framework, _):
            offer = framework.take_offer(NEEDS)
            task = framework.task("again", offer, self.counting.command("again"), NEEDS)
            framework.launch(offer, [task])

        self.await_all_free(self.play(launch))

    def test_a_task_in_a_group(self):
        def launch(framework, number):
            offer = framework.take_offer(GROUP_NEEDS)
            executor = framework.executor(f"e{number}", offer, EXECUTOR_NEEDS)
            task = framework.task("again", offer, self.counting.command("again"), NEEDS)
            framework.accept(offer, [ledger.group_operation(executor, [task])])

        self.await_all_free(self.play(launch))

    def test_a_task_under_an_executor_that_lives_on(self):
        def launch(framework, number):
            offer = framework.take_offer(GROUP_NEEDS)
            executor = framework.executor("e", offer, EXECUTOR_NEEDS)
            groups = []
            if number == 0:
                stay = framework.task("stays", offer, "exec sleep 3600", NEEDS)
                groups.append(ledger.group_operation(executor, [stay]))
            task = framework.task("again", offer, self.counting.command("again"), NEEDS)
            groups.append(ledger.group_operation(executor, [task]))
            framework.accept(offer, groups)

        framework = self.play(launch)
        framework.kill("stays")
        framework.await_end("stays")
        self.await_all_free(framework)


@cluster.needs_root
class ExecutorsUsedAgainAtOnce(OneAgent):
    """Groups of one executor that end and begin at the same time."""

    def test_the_books_agree(self):
        framework = self.framework()
        counting = ledger.CountingTask(self.services.folder / "marks")
        names = [f"e{i}" for i in range(EXECUTORS)]
        launched = 0

        def begin(name, number):
            nonlocal launched
            offer = framework.take_offer(GROUP_NEEDS)
            executor = framework.executor(name, offer, EXECUTOR_NEEDS)
            task_id = f"{name}-{number}"
            task = framework.task(task_id, offer, counting.command(task_id), NEEDS)
            framework.accept(offer, [ledger.group_operation(executor, [task])])
            launched += 1
            return task_id

        for number in range(GROUP_ROUNDS):
            # The second group of each executor begins while the first one's end is on its way.
            first = [begin(name, 2 * number) for name in names]
            second = []
            for name, task_id in zip(names, first):
                entry = framework.entries[task_id][-1]
                framework.wait(
                    lambda entry=entry: len(entry.told) >= 2 or entry.ended(), 30, "a start"
                )
                second.append(begin(name, 2 * number + 1))
            for task_id in first + second:
                status = framework.await_end(task_id)
                self.assertIn(
                    ledger.state_name(status.state),
                    ("TASK_FINISHED", "TASK_DROPPED"),
                    f"{task_id}: {status.message}",
                )
                if ledger.state_name(status.state) == "TASK_DROPPED":
                    # The executor had ended when the group came to it: nothing ran.
                    self.assertEqual(
                        status.reason, ledger.task_pb2.REASON_EXECUTOR_TERMINATED, status.message
                    )
                    self.assertNotIn(task_id, counting.executions())
                else:
                    self.assertEqual(counting.executions()[task_id], 1)
            self.await_all_free(framework)
        self.assertEqual(launched, 2 * GROUP_ROUNDS * EXECUTORS)

    def test_what_runs_is_what_is_booked(self):
        """Executors that live while others of their names have just ended: to the milli-cpu."""
        framework = self.framework()
        for number in range(LIFE_ROUNDS):
            names = [f"e{i}" for i in range(LIFE_EXECUTORS)]
            for name in names:
                offer = framework.take_offer(GROUP_NEEDS)
                executor = framework.executor(name, offer, EXECUTOR_NEEDS)
                short = framework.task(f"{name}-short-{number}", offer, "true", NEEDS)
                framework.accept(offer, [ledger.group_operation(executor, [short])])
            for name in names:
                entry = framework.entries[f"{name}-short-{number}"][-1]
                framework.wait(entry.ended, 30, "the end of a first group")
                offer = framework.take_offer(GROUP_NEEDS)
                executor = framework.executor(name, offer, EXECUTOR_NEEDS)
                stay = framework.task(f"{name}-long-{number}", offer, "exec sleep 3600", NEEDS)
                framework.accept(offer, [ledger.group_operation(executor, [stay])])
            lives = []
            for name in names:
                entry = framework.entries[f"{name}-long-{number}"][-1]
                framework.wait(
                    lambda entry=entry: entry.ended()
                    or any(ledger.state_name(s) == "TASK_RUNNING" for s in entry.states()),
                    30,
                    "a second group",
                )
                if not entry.ended():
                    lives.append(name)
            expected = len(lives) * (NEEDS["cpus"] + EXECUTOR_NEEDS["cpus"])
            cluster.wait_for(
                lambda: round(self.read_state()["slaves"][0]["used_resources"]["cpus"] * 1000)
                == expected,
                10,
                f"{expected} thousandths of a cpu used in /state",
            )
            used = self.agent.metric("tessera_agent_cpus", kind="used")
            self.assertEqual(round(used * 1000), expected)
            # What is left can all be used.
            left = {"cpus": 8000 - expected}
            framework.decline_all()
            offer = framework.take_offer(left)
            self.assertEqual(ledger.scalars(offer.resources)["cpus"], left["cpus"])
            whole = framework.task(f"rest-{number}", offer, "true", left | {"mem": 32_000})
            framework.launch(offer, [whole])
            status = framework.await_end(f"rest-{number}")
            self.assertEqual(ledger.state_name(status.state), "TASK_FINISHED", status.message)
            # Each end of an executor is told once; those that live are not told of.
            self.assertLessEqual(len(framework.failures), (2 * number + 1) * LIFE_EXECUTORS)
            for name in lives:
                framework.kill(f"{name}-long-{number}")
            for name in lives:
                framework.await_end(f"{name}-long-{number}")
            framework.decline_all()


@cluster.needs_root
class RefusedExecutors(OneAgent):
    def test_nothing_stays_booked(self):
        """Executors of a kind that the agent does not have, and groups that it cannot start."""
        framework = self.framework()
        needs = {"cpus": 1500, "mem": 64_000, "disk": 10_000}
        for i in range(5):
            offer = framework.take_offer({"cpus": 1700, "mem": 128_000, "disk": 20_000})
            executor = framework.executor(
                f"custom-{i}", offer, needs, ledger.task_pb2.ExecutorInfo.CUSTOM
            )
            executor.command.value = "/nowhere/executor"
            task = ledger.task_pb2.TaskInfo(name=f"c{i}", id=f"c{i}", agent_id=offer.agent_id)
            ledger.add_resources(task.resources, offer.role, NEEDS)
            task.executor.CopyFrom(executor)
            framework.launch(offer, [task])
            self.assertIn(
                ledger.state_name(framework.await_end(f"c{i}").state), ("TASK_ERROR", "TASK_FAILED")
            )
            offer = framework.take_offer({"cpus": 1700, "mem": 128_000, "disk": 20_000})
            executor = framework.executor(f"group-{i}", offer, needs)
            bad = framework.task(f"g{i}", offer, "true", NEEDS)
            bad.command.user = "nobody-knows-this-user"
            framework.accept(offer, [ledger.group_operation(executor, [bad])])
            framework.await_end(f"g{i}")
        self.await_all_free(framework)


@cluster.needs_root
class AddressesUsedTwice(OneAgent):
    def test_a_second_agent_of_a_living_one_s_address_is_refused(self):
        framework = self.framework()
        offer = framework.take_offer(NEEDS)
        task = framework.task("lives", offer, "exec sleep 3600", NEEDS)
        framework.launch(offer, [task])
        entry = framework.entries["lives"][-1]
        framework.wait(lambda: len(entry.told) >= 2, 20, "a running task")
        told = list(entry.told)
        double = self.services.agent(
            self.master,
            name="agent-2",
            resources=self.RESOURCES,
            flags=[f"--advertise={self.agent.grpc}", "--registration_backoff_max=1s"],
        )
        cluster.wait_for(
            lambda: self.agent.grpc in double.log_path.read_text(errors="replace"),
            20,
            "the refusal in the second agent's log",
        )
        time.sleep(3)  # it dials again and again
        self.assertEqual(double.metric("tessera_agent_registered"), 0)
        self.assertEqual(self.agent.metric("tessera_agent_registered"), 1)
        self.assertEqual(entry.told, told, "the framework was told of it")
        self.assertEqual(len(self.read_state()["slaves"]), 1)
        # Once the first one is gone the second one takes its place, under an id of its own.
        first_id = self.read_state()["slaves"][0]["id"]
        framework.kill("lives")
        framework.await_end("lives")
        self.agent.stop()
        cluster.wait_for(
            lambda: double.metric("tessera_agent_registered") == 1, 30, "the second agent"
        )
        ids = cluster.wait_for(
            lambda: [s["id"] for s in self.read_state()["slaves"] if s["active"]],
            10,
            "the second agent in /state",
        )
        self.assertNotIn(first_id, ids)


if __name__ == "__main__":
    cluster.main()
