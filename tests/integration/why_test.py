#!/usr/bin/python3
"""`tessera why` on a real cluster: a framework that sits on offers is named, and so is each other
cause as it comes and goes."""

import pathlib
import subprocess
import tempfile
import unittest

import cluster


class WhyCase(unittest.TestCase):
    """Two agents, and frameworks that are played by the test."""

    @classmethod
    def service_flags(cls):
        return ()

    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.cluster = cls.enterClassContext(
            cluster.LocalCluster(agents=2, service_flags=cls.service_flags())
        )
        cls.cluster.await_agents()

    def setUp(self):
        import grpc
        from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

        channel = self.enterContext(grpc.insecure_channel(self.cluster.address("master")))
        self.stub = api_grpc.SchedulerServiceStub(channel)

    def subscribe(self, name, role):
        from protos.tessera.model.v1 import framework_pb2
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        info = framework_pb2.FrameworkInfo(name=name, user="root", roles=[role])
        stream = self.stub.Subscribe(api.SubscribeRequest(info=info), timeout=60)
        self.addCleanup(stream.cancel)
        events = (event for response in stream for event in response.events)
        first = next(e.subscribed for e in events if e.WhichOneof("kind") == "subscribed")
        session = api.Session(
            framework_id=first.framework_id, subscription_id=first.subscription_id
        )
        return events, session

    def await_offers(self, events, count):
        offers = []
        while len(offers) < count:
            event = next(events)
            if event.WhichOneof("kind") == "offers":
                offers += [offer.id for offer in event.offers.offers]
        return offers

    def decline(self, session, offers, seconds):
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        request = api.DeclineOffersRequest(session=session, offer_ids=offers)
        request.filters.refuse_duration.seconds = seconds
        self.stub.DeclineOffers(request, timeout=10)

    def why(self, framework, *flags):
        return self.cluster.json("why", framework, *flags)

    def counts(self, framework, *flags):
        """Agents by reason, for a framework of one role."""
        (role,) = self.why(framework, *flags)["roles"]
        counts = {c["reason"]: int(c["agents"]) for c in role["counts"]}
        self.assertEqual(sum(counts.values()), int(role["agents"]))
        return counts

    def await_counts(self, framework, wanted, *flags):
        cluster.wait_for(
            lambda: self.counts(framework, *flags) == wanted, what=f"{framework}: {wanted}"
        )


@cluster.needs_root
class Why(WhyCase):
    """A framework that keeps all offers, and one that needs some."""

    def test_causes_come_and_go(self):
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        hoarder_events, hoarder = self.subscribe("hoarder", "batch")
        hoarded = self.await_offers(hoarder_events, 2)
        needy_events, needy = self.subscribe("needy", "web")

        # The hoarder is named, by what it holds and by what it does not answer.
        self.await_counts(needy.framework_id, {"TOO_LITTLE_LEFT": 2}, "--resources=cpus:1;mem:64")
        answer = self.why(needy.framework_id, "--resources=cpus:1;mem:64")
        self.assertEqual(answer["framework_name"], "needy")
        (role,) = answer["roles"]
        self.assertEqual(role["role"], "web")
        (holder,) = role["holders"]
        self.assertEqual(holder["framework_id"], hoarder.framework_id)
        self.assertEqual(holder["role"], "batch")
        self.assertEqual(int(holder["agents"]), 2)
        self.assertEqual(int(holder["held"]["amounts"]["cpus"]["milli"]), 4000)
        (sitting,) = answer["offer_holders"]
        self.assertEqual(sitting["framework_name"], "hoarder")
        self.assertEqual(int(sitting["offers"]), 2)
        for near in role["nearest"]:
            self.assertEqual(int(near["missing"]["amounts"]["cpus"]["milli"]), 1000)
        self.assertEqual(self.counts(hoarder.framework_id), {"HELD_BY_ITSELF": 2})
        # No waiting helps whoever asks for more than an agent has.
        self.assertEqual(
            self.counts(needy.framework_id, "--resources=cpus:64"), {"AGENT_TOO_SMALL": 2}
        )

        # People may use the name, and read words.
        shown = self.cluster.tessera("why", "needy")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("Role web: none of 2 agents can be offered now", shown.stdout)
        self.assertIn("others hold too much", shown.stdout)
        self.assertIn("OFFERS NOT ANSWERED BY", shown.stdout)
        self.assertIn(hoarder.framework_id, shown.stdout)

        # It lets go: the needy one is served, and then refuses for a while itself.
        self.decline(hoarder, hoarded, 600)
        served = self.await_offers(needy_events, 2)
        self.assertEqual(self.counts(needy.framework_id), {"HELD_BY_ITSELF": 2})
        self.decline(needy, served, 600)
        self.await_counts(needy.framework_id, {"FILTERED": 2})
        # On a slow machine it has held them for long enough to be left alone for a while.
        self.assertIn(self.counts(hoarder.framework_id), ({"FILTERED": 2}, {"SILENCE": 2}))
        self.stub.SuppressOffers(api.SuppressOffersRequest(session=needy), timeout=10)
        self.await_counts(needy.framework_id, {"SUPPRESSED": 2})

        # An allocator that comes back empty is asked again until it knows the cluster.
        self.cluster.kill("allocator")
        self.await_counts(needy.framework_id, {"SUPPRESSED": 2})

    def test_wrong_questions(self):
        _, session = self.subscribe("one", "web")
        for flags, status, word in (
            (["nobody"], 1, "nobody"),
            ([session.framework_id, "--role=batch"], 1, "does not subscribe"),
            ([session.framework_id, "--resources=cpus"], 2, "--resources"),
            ([session.framework_id, "--nearest=0"], 2, "--nearest"),
            ([], 2, "tessera why FRAMEWORK"),
            ([session.framework_id, "more"], 2, "tessera why FRAMEWORK"),
        ):
            with self.subTest(flags=flags):
                result = self.cluster.tessera("why", *flags)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(word, result.stderr)
                self.assertEqual(result.stdout, "")
        with self.subTest("a name that two have"):
            self.subscribe("two", "web")
            self.subscribe("two", "web")

            def told_apart():
                result = self.cluster.tessera("why", "two")
                return "several frameworks" in result.stderr and result.returncode == 2

            cluster.wait_for(told_apart, what="both in the view of state-svc")
        answer = self.why(session.framework_id, "--role=web")
        self.assertEqual(answer["framework_name"], "one")


@cluster.needs_root
class Whitelist(WhyCase):
    """The master reads a file of the hostnames that may be offered."""

    @classmethod
    def service_flags(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.file = pathlib.Path(folder) / "whitelist"
        cls.file.write_text("# nobody yet\n")
        return (f"master:--whitelist={cls.file}",)

    def test_agents_are_offered_once_their_host_is_listed(self):
        events, session = self.subscribe("one", "web")
        self.await_counts(session.framework_id, {"NOT_WHITELISTED": 2})
        hosts = {agent["agent"]["info"]["hostname"] for agent in self.cluster.json("agents")}
        self.file.write_text("\n".join(hosts) + "\n")
        self.assertEqual(len(self.await_offers(events, 2)), 2)

    def test_a_file_that_is_not_there_is_an_error_at_the_start(self):
        result = subprocess.run(
            [
                self.cluster.bin / "master-svc",
                "--whitelist=/no/such/file",
                "--listen=127.0.0.1:0",
                "--http_listen=127.0.0.1:0",
                "--registry=127.0.0.1:1",
                "--allocator=127.0.0.1:1",
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("/no/such/file", result.stderr)


if __name__ == "__main__":
    cluster.main()
