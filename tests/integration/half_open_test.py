#!/usr/bin/python3
"""Peers that are gone, or stuck, while their connections stay: nothing refuses, nothing answers."""

import ctypes
import os
import subprocess
import tempfile
import threading
import unittest

import cluster


def run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=20)


class AgentBehindRouter:
    """A network namespace `agent` behind another one that forwards, or drops and tells nobody."""

    def __init__(self):
        self.router, self.agent = (f"tessera-{role}-{os.getpid()}" for role in ("router", "agent"))
        number = os.getpid() % 120 * 2
        self.master_host, self.agent_host = f"10.199.{number}.1", f"10.199.{number + 1}.1"
        self.master_net, self.agent_net = f"10.199.{number}", f"10.199.{number + 1}"

    def __enter__(self):
        for name in (self.router, self.agent):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        # This side's end goes with the router's namespace.
        ours = f"tessera{os.getpid()}"
        run("ip", "link", "add", ours, "type", "veth", "peer", "masters", "netns", self.router)
        run("ip", "address", "add", f"{self.master_host}/24", "dev", ours)
        run("ip", "link", "set", ours, "up")
        run("ip", "route", "add", f"{self.agent_net}.0/24", "via", f"{self.master_net}.2")
        link = ["link", "add", "eth0", "type", "veth", "peer", "agent", "netns", self.router]
        run("ip", "-n", self.agent, *link)
        for name, device, address in (
            (self.router, "masters", f"{self.master_net}.2"),
            (self.router, "agent", f"{self.agent_net}.2"),
            (self.agent, "eth0", self.agent_host),
        ):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
        run("ip", "-n", self.agent, "route", "add", "default", "via", f"{self.agent_net}.2")
        self.forward(True)
        return self

    def __exit__(self, *exception):
        for name in (self.router, self.agent):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def forward(self, on):
        command = f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward"
        run(*self.inside(self.router), "sh", "-c", command)

    def inside(self, name):
        """Words that run a command in a namespace, with the machine's cgroups."""
        return ["nsenter", f"--net=/run/netns/{name}"]


class Listener:
    """A framework that takes part by the contracts alone and keeps what it hears."""

    def __init__(self, address, role="listener"):
        import grpc
        from protos.tessera.model.v1 import framework_pb2
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api
        from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

        self.api = api
        self.channel = grpc.insecure_channel(address)
        self.stub = api_grpc.SchedulerServiceStub(self.channel)
        info = framework_pb2.FrameworkInfo(name="listener", user="root", roles=[role])
        info.capabilities.append(framework_pb2.FrameworkInfo.PARTITION_AWARE)
        info.failover_timeout.seconds = 600
        self.events = []
        self.session = None
        self.stream = self.stub.Subscribe(api.SubscribeRequest(info=info), wait_for_ready=True)
        threading.Thread(target=self.listen, daemon=True).start()
        cluster.wait_for(lambda: self.session, 20, "a subscription")

    def listen(self):
        try:
            for response in self.stream:
                for event in response.events:
                    if event.HasField("subscribed"):
                        self.session = self.api.Session(
                            framework_id=event.subscribed.framework_id,
                            subscription_id=event.subscribed.subscription_id,
                        )
                    self.events.append(event)
                    if event.HasField("update") and event.update.status.uuid:
                        self.acknowledge(event.update.status)
        except Exception as error:  # the stream is over; what was heard stays
            self.error = error

    def acknowledge(self, status):
        update = self.api.AcknowledgeRequest.Update(
            agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid
        )
        request = self.api.AcknowledgeRequest(session=self.session, updates=[update])
        self.stub.Acknowledge(request, timeout=20)

    def close(self):
        self.stream.cancel()
        self.channel.close()

    def offers(self):
        return [o for e in list(self.events) for o in e.offers.offers]

    def rescinded(self):
        return {i for e in list(self.events) for i in e.rescind.offer_ids}

    def states(self, task):
        """Names of the states that it was told for a task, in order."""
        from protos.tessera.model.v1 import task_pb2

        statuses = [e.update.status for e in list(self.events) if e.HasField("update")]
        return [task_pb2.TaskState.Name(s.state) for s in statuses if s.task_id == task]

    def await_state(self, task, state, seconds=30):
        cluster.wait_for(lambda: state in self.states(task), seconds, f"{state} of {task}")

    def launch(self, offer, commands):
        """One task for each name and command, all on one offer; the rest comes back at once."""
        from protos.tessera.model.v1 import offer_pb2, task_pb2

        tasks = []
        for name, command in commands.items():
            task = task_pb2.TaskInfo(name=name, id=name, agent_id=offer.agent_id)
            for resource, milli in (("cpus", 200), ("mem", 32000)):
                task.resources.add(name=resource, allocation_role=offer.role).scalar.milli = milli
            task.command.shell = True
            task.command.value = command
            tasks.append(task)
        operation = offer_pb2.Operation(launch=offer_pb2.Operation.Launch(tasks=tasks))
        request = self.api.AcceptOffersRequest(
            session=self.session, offer_ids=[offer.id], operations=[operation]
        )
        request.filters.refuse_duration.SetInParent()
        self.stub.AcceptOffers(request, timeout=20)


class StuckThread:
    """Stops one thread of a process, as a deadlock would; the others go on."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    WAIT_ALL = 0x40000000

    def __init__(self, pid, name):
        tasks = [t for t in os.listdir(f"/proc/{pid}/task")]
        names = {t: open(f"/proc/{pid}/task/{t}/comm").read().strip() for t in tasks}
        self.thread = next(int(t) for t, found in names.items() if found == name)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def __enter__(self):
        self.ptrace(self.SEIZE)
        self.ptrace(self.INTERRUPT)
        os.waitpid(self.thread, self.WAIT_ALL)
        return self

    def __exit__(self, *exception):
        self.ptrace(self.DETACH)


@cluster.needs_root
class HalfOpen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def setUp(self):
        self.services = self.enterContext(cluster.Services())

    def await_metric(self, service, name, value, seconds=60, **labels):
        cluster.wait_for(
            lambda: service.metric(name, **labels) == value, seconds, f"{name} {value}", pause=0.2
        )

    def listener(self, address):
        listener = Listener(address)
        self.addCleanup(listener.close)
        return listener

    def test_an_agent_behind_a_cut_that_nobody_is_told_of(self):
        network = self.enterContext(AgentBehindRouter())
        master = self.services.master(
            self.services.registry(),
            self.services.allocator(),
            "--agent_ping_interval=1s",
            "--agent_ping_misses=4",
            host=network.master_host,
        )
        agent = self.services.agent(
            master,
            host=network.agent_host,
            prefix=network.inside(network.agent),
            flags=["--registration_backoff_max=1s"],
        )
        listener = self.listener(master.grpc)
        out = self.services.folder / "go-on"
        offer = cluster.wait_for(listener.offers, 30, "an offer")[0]
        listener.launch(
            offer,
            {
                "stays": "sleep 1000",
                "ends": f"while [ ! -e {out} ]; do sleep 0.1; done",
            },
        )
        for task in ("stays", "ends"):
            listener.await_state(task, "TASK_RUNNING")
        # What the tasks left over is offered again.
        cluster.wait_for(lambda: len(listener.offers()) > 1, 30, "another offer")
        held = {o.id for o in listener.offers()} - listener.rescinded() - {offer.id}
        self.assertTrue(held)

        network.forward(False)
        for task in ("stays", "ends"):
            listener.await_state(task, "TASK_UNREACHABLE", 60)
        cluster.wait_for(lambda: held <= listener.rescinded(), 30, "the end of the offers")
        self.await_metric(master, "tessera_agents_unreachable", 1)
        out.touch()

        known = len(listener.offers())
        network.forward(True)
        # Each task's true state is heard: one runs on, the other one ended in the meantime.
        cluster.wait_for(
            lambda: listener.states("stays")[-1] == "TASK_RUNNING", 90, "the task that stays"
        )
        listener.await_state("ends", "TASK_FINISHED", 90)
        self.await_metric(master, "tessera_agents", 1, connection="connected")
        self.assertTrue(agent.running())
        cluster.wait_for(lambda: len(listener.offers()) > known, 60, "an offer of the agent")

    def small_cluster(self, *master_flags):
        registry = self.services.registry("--lease_ttl=2s")
        allocator = self.services.allocator()
        master = self.services.master(registry, allocator, *master_flags)
        self.services.agent(master, flags=["--registration_backoff_max=1s"])
        return registry, allocator, master

    def test_an_allocator_that_is_stuck_behind_a_working_connection(self):
        _, allocator, master = self.small_cluster("--allocator_timeout=4s")
        listener = self.listener(master.grpc)
        cluster.wait_for(listener.offers, 30, "an offer")
        with StuckThread(allocator.pid, "allocator"):
            cluster.wait_for(
                lambda: master.metric("tessera_master_allocator_timeouts_total") >= 2,
                60,
                "that the master gives the allocator up",
                pause=0.2,
            )
            cluster.wait_for(
                lambda: master.metric("tessera_master_allocator_links_total") >= 3,
                30,
                "that the master dials again",
                pause=0.2,
            )
            before = len(listener.offers())
        # It works again, on a stream that began with a snapshot: another framework gets its share.
        other = Listener(master.grpc, role="other")
        self.addCleanup(other.close)
        listener.launch(listener.offers()[before - 1], {"after": "true"})
        listener.await_state("after", "TASK_FINISHED")
        cluster.wait_for(other.offers, 60, "an offer for the other framework")

    def test_an_allocator_that_is_stopped(self):
        _, allocator, master = self.small_cluster("--allocator_timeout=4s", "--offer_timeout=2s")
        listener = self.listener(master.grpc)
        cluster.wait_for(listener.offers, 30, "an offer")
        allocator.freeze()
        cluster.wait_for(
            lambda: master.metric("tessera_master_allocator_timeouts_total") >= 1,
            60,
            "that the master gives the allocator up",
            pause=0.2,
        )
        before = len(listener.offers())
        allocator.thaw()
        cluster.wait_for(lambda: len(listener.offers()) > before, 60, "another offer")
        listener.launch(listener.offers()[-1], {"after": "true"})
        listener.await_state("after", "TASK_FINISHED")

    def test_a_master_that_is_stuck_keeps_no_reader(self):
        registry = self.services.registry("--lease_ttl=2s")
        allocator = self.services.allocator()
        masters = [
            self.services.master(registry, allocator, name=f"master-{i}") for i in (1, 2)
        ]

        def leader():
            return next((m for m in masters if m.metric("tessera_master_leader") == 1), None)

        stuck = cluster.wait_for(leader, 20, "a leader")
        epoch = stuck.metric("tessera_master_epoch")
        state = self.services.state(*masters, flags=["--feed_timeout=7s"])
        self.await_metric(state, "tessera_state_following", 1)
        self.assertEqual(state.metric("tessera_state_epoch"), epoch)
        with StuckThread(stuck.pid, "master"):
            # Its feed lives on, with nothing new of a leader in it.
            cluster.wait_for(
                lambda: (state.metric("tessera_state_epoch") or 0) > epoch,
                60,
                "the epoch of the other master",
                pause=0.2,
            )
            self.await_metric(state, "tessera_state_following", 1)

    def test_a_registry_that_is_stopped_ends_the_lease(self):
        registry, _, master = self.small_cluster()
        self.await_metric(master, "tessera_master_leader", 1)
        epoch = master.metric("tessera_master_epoch")
        listener = self.listener(master.grpc)
        cluster.wait_for(listener.offers, 30, "an offer")
        listener.launch(listener.offers()[0], {"stays": "sleep 1000"})
        listener.await_state("stays", "TASK_RUNNING")
        registry.freeze()
        # Its word cannot be renewed: it stops to lead before another could begin.
        self.await_metric(master, "tessera_master_leader", 0)
        cluster.wait_for(lambda: hasattr(listener, "error"), 30, "the end of the session")
        registry.thaw()
        self.await_metric(master, "tessera_master_leader", 1)
        self.assertGreater(master.metric("tessera_master_epoch"), epoch)
        self.await_metric(master, "tessera_agents", 1, connection="connected")
        self.await_metric(master, "tessera_tasks", 1, state="running")


if __name__ == "__main__":
    cluster.main()
