#!/usr/bin/python3
"""From an agent's resources becoming free to the next offer of them, through real processes.

Real registry, allocator and master; 1,000 simulated agents; 200 frameworks that keep what they are
offered. Fifty times a second one of them gives an agent's offer back and refuses it for a second;
the clock runs from that call until the offer of the agent reaches the next framework. Both calls'
way over gRPC and this program's own time are in it, so it is an upper bound.

  offer_latency.py [SECONDS]    how long to measure; default 20
"""

import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from generator import LoadGenerator, build, cluster, figure, raise_file_limit, say  # noqa: E402

AGENTS, FRAMEWORKS, CHANGES_PER_S = 1000, 200, 50
CHANNELS = 4
SIZE = f"{AGENTS}x{FRAMEWORKS}"


class Frameworks:
    """Subscriptions that keep every offer until it is given back here."""

    def __init__(self, address):
        import grpc  # the stubs are made first
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api
        from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

        self.api = api
        self.channels = [
            grpc.insecure_channel(address, [("channel", i)]) for i in range(CHANNELS)
        ]
        self.stubs = [api_grpc.SchedulerServiceStub(channel) for channel in self.channels]
        self.streams = []
        self.lock = threading.Lock()
        self.held = {}  # agent id -> (stub, session, offer id)
        self.given_back = {}  # agent id -> when
        self.latencies = []
        self.rescinded = 0
        self.calls = []  # one that nobody holds is cancelled

    def start(self):
        for i in range(FRAMEWORKS):
            request = self.api.SubscribeRequest()
            request.info.name = f"keeper-{i:03d}"
            request.info.user = "nobody"
            request.info.roles.append("*")
            stub = self.stubs[i % CHANNELS]
            stream = stub.Subscribe(request)
            self.streams.append(stream)
            threading.Thread(target=self.follow, args=(stub, stream), daemon=True).start()

    def follow(self, stub, stream):
        session = self.api.Session()
        try:
            for response in stream:
                now = time.monotonic()
                for event in response.events:
                    kind = event.WhichOneof("kind")
                    if kind == "subscribed":
                        session.framework_id = event.subscribed.framework_id
                        session.subscription_id = event.subscribed.subscription_id
                    elif kind == "offers":
                        self.note(now, stub, session, event.offers.offers)
                    elif kind == "rescind":
                        with self.lock:
                            self.rescinded += len(event.rescind.offer_ids)
        except Exception:  # the end of the measurement cancels the stream
            pass

    def note(self, now, stub, session, offers):
        with self.lock:
            for offer in offers:
                self.held[offer.agent_id] = (stub, session, offer.id)
                began = self.given_back.pop(offer.agent_id, None)
                if began is not None:
                    self.latencies.append(now - began)

    def give_back(self, agent):
        with self.lock:
            stub, session, offer = self.held.pop(agent)
            self.given_back[agent] = time.monotonic()
        request = self.api.DeclineOffersRequest(session=session, offer_ids=[offer])
        request.filters.refuse_duration.seconds = 1
        self.calls.append(stub.DeclineOffers.future(request))

    def stop(self):
        for stream in self.streams:
            stream.cancel()
        for channel in self.channels:
            channel.close()


def mean_ms(before, after, family):
    """The mean of a histogram's observations between two scrapes, in milliseconds."""
    total = cluster.metric(after, family + "_sum") - cluster.metric(before, family + "_sum")
    count = cluster.metric(after, family + "_count") - cluster.metric(before, family + "_count")
    return 1000 * total / max(count, 1)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    raise_file_limit()
    folder = build("load_generator")
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as stubs, cluster.Services("tessera-bench-") as services:
        cluster.make_stubs(stubs)
        registry = services.registry()
        allocator = services.allocator()
        master = services.master(registry, allocator)
        log = services.folder / "load_generator.log"
        with LoadGenerator(folder, [master], log, agents=AGENTS, frameworks=0) as load:
            load.ask("agents", 120)
            frameworks = Frameworks(master.grpc)
            frameworks.start()
            cluster.wait_for(lambda: len(frameworks.held) == AGENTS, 60, "an offer of each agent")
            say(f"{AGENTS} agents are offered to {FRAMEWORKS} frameworks")
            time.sleep(2)
            before = allocator.metrics()
            due = time.monotonic()
            end = due + seconds
            while due < end:
                due += chance.expovariate(CHANGES_PER_S)
                time.sleep(max(0.0, due - time.monotonic()))
                with frameworks.lock:
                    agents = list(frameworks.held)
                frameworks.give_back(chance.choice(agents))
            cluster.wait_for(lambda: not frameworks.given_back, 10, "the last offers")
            after = allocator.metrics()
            frameworks.stop()
    taken = sorted(frameworks.latencies)
    if len(taken) < CHANGES_PER_S * seconds / 2 or frameworks.rescinded:
        raise RuntimeError(f"{len(taken)} offers, {frameworks.rescinded} rescinded: not clean")
    for percent in (50, 99):
        value = 1000 * taken[len(taken) * percent // 100]
        figure(f"allocator.offer_latency.p{percent}.{SIZE}", value, "ms")
    figure(
        f"allocator.offer_latency.wait_for_run_mean.{SIZE}",
        mean_ms(before, after, "tessera_allocation_run_latency_seconds"),
        "ms",
    )
    figure(
        f"allocator.offer_latency.run_mean.{SIZE}",
        mean_ms(before, after, "tessera_allocation_run_duration_seconds"),
        "ms",
    )


if __name__ == "__main__":
    main()
