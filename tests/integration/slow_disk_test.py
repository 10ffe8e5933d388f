#!/usr/bin/python3
"""Restarts of the master while the agents' disks are slow: nothing is told an end and runs on.

The agents' logs take a while to reach the disk, so that a master comes back while tasks that the
agents have accepted are not durable yet.
"""

import collections
import os
import pathlib
import tempfile
import time
import unittest

import cluster

# A longer trial: RESTARTS=30.
RESTARTS = int(os.environ.get("RESTARTS", "4"))
SYNC_MS = (0, 150, 400, 1500)
AGENTS = 3
LOAD = 30
NEEDS = {"cpus": 100, "mem": 32_000}
TASK_SECONDS = 0.3
LAUNCHED_BEFORE_A_STOP = 3


@cluster.needs_root
class SlowDisk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))
        global ledger
        import ledger

    def start(self, sync_ms):
        services = self.enterContext(cluster.Services())
        # Short leases: a master that is asked to end gives its lease up, none has to run out.
        registry = services.registry("--lease_ttl=2s")
        self.master = services.master(registry, services.allocator())
        library = pathlib.Path(
            os.environ.get("SLOW_SYNC_LIBRARY", "tests/integration/libslow_sync.so")
        ).resolve()
        self.agents = [
            services.agent(
                self.master,
                name=f"agent-{i}",
                resources="cpus:2;mem:2048;disk:1024",
                flags=["--registration_backoff=100ms", "--registration_backoff_max=200ms"],
                prefix=["env", f"LD_PRELOAD={library}", f"SLOW_SYNC_MS={sync_ms}"],
            )
            for i in range(1, AGENTS + 1)
        ]
        self.counting = ledger.CountingTask(services.folder / "marks")
        self.framework = self.enterContext(ledger.LedgerFramework([self.master.grpc]))

    def launch_what_fits(self, numbers, live):
        """Launches tasks while fewer than LOAD live; each id is used once."""
        framework = self.framework
        with framework.lock:
            offers, framework.offers = dict(framework.offers), {}
        for offer in offers.values():
            has = ledger.scalars(offer.resources)
            room = min(has.get(name, 0) // milli for name, milli in NEEDS.items())
            tasks = []
            for _ in range(min(room, LOAD - len(live))):
                task_id = f"t{next(numbers)}"
                command = self.counting.command(task_id, f"exec sleep {TASK_SECONDS}")
                tasks.append(framework.task(task_id, offer, command, NEEDS))
                live.add(task_id)
            try:
                framework.launch(offer, tasks)
            except (ledger.grpc.RpcError, TypeError):
                pass  # the master went away: what became of the tasks is asked for at the end

    def play(self, sync_ms):
        self.start(sync_ms)
        framework = self.framework
        numbers = iter(range(10**9))
        live = set()
        # Of earlier sessions: what became of those that do not end is asked for at the end.
        earlier = set()

        def drop_ended():
            for task_id in list(live):
                if framework.entries[task_id][-1].ended():
                    live.discard(task_id)

        for restart in range(RESTARTS):
            # An agent obeys this master: what is sent while its epoch is on the way to the disk
            # would be lost with it.
            earlier_ids = {task_id for task_id, entries in framework.entries.items() if entries}

            def obeyed():
                drop_ended()
                if framework.session is not None:
                    self.launch_what_fits(numbers, live)
                return any(
                    entries and entries[-1].told
                    for task_id, entries in list(framework.entries.items())
                    if task_id not in earlier_ids
                )

            cluster.wait_for(obeyed, 60, "a task that this master launched", pause=0.02)

            # Some launches are on their way to the disk whenever the master is asked to end.
            def launched_some():
                drop_ended()
                before = len(live)
                if framework.session is not None:
                    self.launch_what_fits(numbers, live)
                return len(live) - before >= LAUNCHED_BEFORE_A_STOP

            cluster.wait_for(launched_some, 60, "offers for new tasks", pause=0.02)
            time.sleep(0.05)  # the agents have them by now, and a slow disk has not
            self.master.stop()
            earlier |= live
            live.clear()
            self.master.start()
            cluster.wait_for(
                lambda: framework.session is not None and framework.sessions >= restart + 2,
                30,
                "the framework at the new master",
            )
        # A launch that was on its way to its agent when the master ended is lost with it, and its
        # framework learns that by asking.
        live |= earlier

        def settled():
            drop_ended()
            open_ids = [t for t in live if not self.told_unknown(t)]
            if open_ids and framework.session is not None:
                request = ledger.api.ReconcileTasksRequest(
                    session=framework.session,
                    tasks=[ledger.api.ReconcileTasksRequest.Task(task_id=t) for t in open_ids],
                )
                framework.call("ReconcileTasks", request)
            return not open_ids

        cluster.wait_for(settled, 60, "an answer for every task", pause=1)
        self.judge()

    def told_unknown(self, task_id):
        entry = self.framework.entries[task_id][-1]
        return any(ledger.state_name(s) == "TASK_UNKNOWN" for s in entry.states())

    def judge(self):
        framework = self.framework
        executions = self.counting.executions()
        wrong = []
        states = collections.Counter()
        for task_id, entries in framework.entries.items():
            if not entries:
                continue
            told = [ledger.state_name(s) for s in entries[-1].states()]
            ends = {
                (s.state, s.uuid) for s in entries[-1].told if s.state in ledger.TERMINAL
            }
            ran = executions[task_id]
            names = {ledger.state_name(state) for state, _ in ends}
            states.update(names)
            if ran > 1:
                wrong.append(f"{task_id} was executed {ran} times: {told}")
            if len(names) > 1:
                wrong.append(f"{task_id} was told several ends: {told}")
            if ran and names and names != {"TASK_FINISHED"}:
                wrong.append(f"{task_id} ran and was told {told}")
            if ran and not names and self.told_unknown(task_id):
                wrong.append(f"{task_id} ran and was told {told}")
            if not ran and "TASK_FINISHED" in names:
                wrong.append(f"{task_id} never ran and was told {told}")
            ended_at = next(
                (i for i, s in enumerate(entries[-1].told) if s.state in ledger.TERMINAL), None
            )
            if ended_at is not None:
                after = [
                    ledger.state_name(s.state)
                    for s in entries[-1].told[ended_at:]
                    if s.state not in ledger.TERMINAL
                ]
                if after:
                    wrong.append(f"{task_id} was told an end, then {after}: {told}")
        self.assertEqual(wrong, [], f"ends told: {dict(states)}")
        self.assertGreater(states["TASK_FINISHED"], RESTARTS, "there was no load")
        # Nothing runs on that nobody knows of.
        for agent in self.agents:
            cluster.wait_for(
                lambda agent=agent: agent.metric("tessera_agent_tasks", state="running") == 0,
                20,
                "an idle agent",
            )


def _case(sync_ms):
    return lambda self: self.play(sync_ms)


for _ms in SYNC_MS:
    setattr(SlowDisk, f"test_syncs_of_{_ms}_ms", _case(_ms))


if __name__ == "__main__":
    cluster.main()
