#!/usr/bin/python3
"""Wrong flags, broken files and hostile clients: each gets a clear error and harms nobody else."""

import os
import random
import socket
import subprocess
import tempfile
import time
import unittest

import cluster

FLAGS_NEEDED = {
    "registry-svc": ["--data_dir={folder}/registry"],
    "allocator-svc": [],
    "master-svc": ["--registry=127.0.0.1:1", "--allocator=127.0.0.1:1"],
    "state-svc": ["--feed=127.0.0.1:1"],
    "agent-svc": [
        "--master=127.0.0.1:1",
        "--work_dir={folder}/work",
        "--runtime_dir={folder}/run",
    ],
}
ANY_PORTS = ["--listen=127.0.0.1:0", "--http_listen=127.0.0.1:0"]


class WrongStart(unittest.TestCase):
    """A service that cannot start says why and ends with a status, never by a signal."""

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tessera-bad-"))
        self.bin = cluster.link_binaries(self.folder)

    def refused(self, binary, *flags, word):
        result = subprocess.run(
            [str(self.bin / binary), *flags],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        self.assertGreater(result.returncode, 0, result.stderr)
        self.assertIn(word, result.stderr)
        self.assertNotIn("listening ", result.stdout)
        return result

    def needed(self, binary):
        return [f.format(folder=self.folder) for f in FLAGS_NEEDED[binary]]

    def test_unknown_flag(self):
        for binary in FLAGS_NEEDED:
            with self.subTest(binary=binary):
                result = self.refused(
                    binary, *self.needed(binary), *ANY_PORTS, "--lisen=1", word="lisen"
                )
                self.assertEqual(result.returncode, 2)

    def test_value_that_is_none(self):
        self.refused(
            "registry-svc",
            *self.needed("registry-svc"),
            *ANY_PORTS,
            "--lease_ttl=soon",
            word="lease_ttl",
        )

    def test_required_flag_is_missing(self):
        for binary, word in (
            ("registry-svc", "--data_dir"),
            ("master-svc", "--registry"),
            ("state-svc", "--feed"),
            ("agent-svc", "--master"),
        ):
            with self.subTest(binary=binary):
                self.refused(binary, *ANY_PORTS, word=word)

    def test_malformed_resources(self):
        for resources in ("cpus:many", "cpus", "cpus:-1", "ports:[9-", "cpus:1;;mem:x"):
            with self.subTest(resources=resources):
                self.refused(
                    "agent-svc",
                    *self.needed("agent-svc"),
                    *ANY_PORTS,
                    f"--resources={resources}",
                    word="resources",
                )

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for binary in ("registry-svc", "allocator-svc", "master-svc", "state-svc"):
                for flags in (
                    [f"--listen={address}", "--http_listen=127.0.0.1:0"],
                    ["--listen=127.0.0.1:0", f"--http_listen={address}"],
                ):
                    with self.subTest(binary=binary, flags=flags):
                        self.refused(binary, *self.needed(binary), *flags, word="in use")

    def test_folder_that_cannot_be_written(self):
        file = os.path.join(self.folder, "file")
        with open(file, "w", encoding="utf-8") as out:
            out.write("not a folder")
        self.refused("registry-svc", *ANY_PORTS, f"--data_dir={file}/data", word=file)
        self.refused(
            "agent-svc",
            *ANY_PORTS,
            "--master=127.0.0.1:1",
            f"--work_dir={file}/work",
            f"--runtime_dir={self.folder}/run",
            word=file,
        )
        result = subprocess.run(
            [
                str(self.bin / "tessera"),
                "cluster",
                "up",
                f"--cluster_dir={file}/cluster",
                f"--bin_dir={self.bin}",
            ],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(file, result.stderr)

    @unittest.skipIf(os.geteuid() != 0, "mounts need root")
    def test_folder_on_a_read_only_mount(self):
        there = os.path.join(self.folder, "read-only")
        os.makedirs(there)
        services = {
            "registry-svc": "--data_dir=",
            "agent-svc": f"--master=127.0.0.1:1 --runtime_dir={self.folder}/run --work_dir=",
        }
        for binary, flags in services.items():
            # The folder itself, and one that would have to be made in it.
            for folder in (f"{there}/full", f"{there}/new"):
                with self.subTest(binary=binary, folder=folder):
                    # Mounted for this one process.
                    script = (
                        f"mount -t tmpfs none {there} && mkdir {there}/full &&"
                        f" mount -o remount,ro {there} &&"
                        f" exec {self.bin / binary} {' '.join(ANY_PORTS)} {flags}{folder}"
                    )
                    result = subprocess.run(
                        ["unshare", "--mount", "sh", "-c", script],
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        text=True,
                        timeout=20,
                        check=False,
                    )
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertIn(folder, result.stderr)
                    self.assertIn("Read-only file system", result.stderr)
                    self.assertNotIn("listening ", result.stdout)

    def test_corrupt_registry(self):
        with cluster.Services() as services:
            registry = services.registry()
            data = services.folder / "registry" / "data"
            registry.stop()
            broken = 0
            for path in data.rglob("*"):
                if path.is_file() and path.name.startswith(("MANIFEST", "CURRENT")):
                    path.write_bytes(random.Random(7).randbytes(max(64, path.stat().st_size)))
                    broken += 1
            self.assertGreaterEqual(broken, 2)
            before = {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}
            with self.assertRaises(RuntimeError) as refused:
                registry.start()
            self.assertGreater(registry.process.returncode, 0)
            self.assertIn(str(data), str(refused.exception))
            # What is damaged is left for people to look at.
            for path, content in before.items():
                if path.name.startswith(("MANIFEST", "CURRENT")):
                    self.assertEqual(path.read_bytes(), content)


@cluster.needs_root
class HostileClients(unittest.TestCase):
    """While each attack runs, a well-behaved framework goes on and ends well."""

    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.cluster = cls.enterClassContext(cluster.LocalCluster(agents=1))
        cls.cluster.await_agents()
        cls.master = cls.cluster.address("master")

    def setUp(self):
        import grpc
        from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

        self.grpc = grpc
        self.channel = self.enterContext(
            grpc.insecure_channel(
                self.master, options=[("grpc.max_send_message_length", -1)]
            )
        )
        self.stub = api_grpc.SchedulerServiceStub(self.channel)
        self.pids = {n: s["pid"] for n, s in self.cluster.services().items()}
        self.good = subprocess.Popen(
            self.cluster.argv("run", "--name=good", "--count=25", "--cpus=0.2", "sleep 0.2"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Cleanups run in reverse order: this one after the attackers are gone.
        self.addCleanup(self.check_that_nobody_was_harmed)

    def check_that_nobody_was_harmed(self):
        try:
            _, errors = self.good.communicate(timeout=40)
        finally:
            self.good.kill()
        self.assertEqual(self.good.returncode, 0, errors)
        self.assertIn("25/25 finished", errors)
        after = self.cluster.services()
        self.assertEqual({n: s["pid"] for n, s in after.items()}, self.pids)
        self.assertEqual({n: s["restarts"] for n, s in after.items()}, {n: 0 for n in after})

    def detail(self, error):
        from protos.tessera.model.v1 import error_pb2

        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for packed in error_pb2.StatusDetails.FromString(value).details:
                    detail = error_pb2.ErrorDetail()
                    if packed.Unpack(detail):
                        return error_pb2.ErrorDetail.Reason.Name(detail.reason), detail
        return "", None

    def subscribe(self, **fields):
        """Subscribes; returns the stream and the session."""
        from protos.tessera.model.v1 import framework_pb2
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        fields = {"name": "bad", "user": "root", "roles": ["*"], **fields}
        info = framework_pb2.FrameworkInfo(**fields)
        stream = self.stub.Subscribe(api.SubscribeRequest(info=info), timeout=30)
        self.addCleanup(stream.cancel)
        # A refusal says why in an event, then in the status that ends the stream.
        first = next(self.events(stream, "subscribed"))
        return stream, api.Session(
            framework_id=first.framework_id, subscription_id=first.subscription_id
        )

    def events(self, stream, kind):
        for response in stream:
            for event in response.events:
                if event.WhichOneof("kind") == kind:
                    yield getattr(event, kind)

    def assert_refused(self, call, *codes, explained=True):
        with self.assertRaises(self.grpc.RpcError) as refused:
            call()
        error = refused.exception
        self.assertIn(error.code(), codes, error.details())
        if explained:
            self.assertTrue(error.details())
        return error

    def test_bytes_that_are_no_http(self):
        host, port = self.master.split(":")
        state_host, state_port = self.cluster.address("state", "http").split(":")
        noise = random.Random(3)
        for target in ((host, int(port)), (state_host, int(state_port))):
            for _ in range(20):
                with socket.create_connection(target, timeout=5) as connection:
                    try:
                        connection.sendall(noise.randbytes(5000))
                    except OSError:
                        pass  # hung up on, as it should be

    def test_bytes_that_are_no_message(self):
        # gRPC itself answers, before anything of ours sees the call: with a code and no words.
        codes = (self.grpc.StatusCode.UNIMPLEMENTED, self.grpc.StatusCode.INTERNAL)
        noise = random.Random(5)
        service = "/tessera.scheduler.v1.SchedulerService/"
        for method in ("AcceptOffers", "Acknowledge", "KillTask", "Teardown", "NoSuchMethod"):
            call = self.channel.unary_unary(service + method)
            for size in (1, 100, 10_000):
                data = b"\xff" + noise.randbytes(size)
                self.assert_refused(lambda: call(data, timeout=10), *codes, explained=False)
        stream = self.channel.unary_stream(service + "Subscribe")
        self.assert_refused(
            lambda: next(iter(stream(b"\xff" * 50, timeout=10))), *codes, explained=False
        )

    def test_calls_without_a_session(self):
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        codes = self.grpc.StatusCode
        wrong = api.Session(framework_id="no-such-framework", subscription_id="x")
        for session in (api.Session(), wrong):
            for call, request in (
                (self.stub.AcceptOffers, api.AcceptOffersRequest(session=session, offer_ids=["x"])),
                (self.stub.DeclineOffers, api.DeclineOffersRequest(session=session)),
                (self.stub.KillTask, api.KillTaskRequest(session=session, task_id="t")),
                (self.stub.ReconcileTasks, api.ReconcileTasksRequest(session=session)),
                (self.stub.ReviveOffers, api.ReviveOffersRequest(session=session)),
            ):
                error = self.assert_refused(
                    lambda: call(request, timeout=10), codes.INVALID_ARGUMENT, codes.NOT_FOUND
                )
                self.assertNotEqual(self.detail(error)[0], "")

    def test_wrong_subscriptions(self):
        codes = self.grpc.StatusCode
        for fields in (
            {"roles": ["a/../b"]},
            {"roles": ["with space"]},
            {"roles": ["new\nline"]},
            {"roles": ["-x"]},
            {"roles": ["r", "r"]},
            {"id": "made/up"},
            {"capabilities": [0]},
        ):
            with self.subTest(fields=fields):
                error = self.assert_refused(
                    lambda: self.subscribe(**fields), codes.INVALID_ARGUMENT
                )
                reason, detail = self.detail(error)
                self.assertEqual(reason, "INVALID_FIELD")
                self.assertIn("info", detail.field)

    def test_an_old_subscription_is_refused(self):
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        _, session = self.subscribe(roles=["old"])
        session.subscription_id = "made-up"
        error = self.assert_refused(
            lambda: self.stub.ReviveOffers(api.ReviveOffersRequest(session=session), timeout=10),
            self.grpc.StatusCode.FAILED_PRECONDITION,
        )
        self.assertEqual(self.detail(error)[0], "STALE_SUBSCRIPTION")

    def offer(self):
        """A session with an offer."""
        stream, session = self.subscribe()
        offer = next(self.events(stream, "offers")).offers[0]
        return stream, session, offer

    def task(self, offer, **fields):
        from protos.tessera.model.v1 import task_pb2

        task = task_pb2.TaskInfo(**{"name": "t", "id": "t", "agent_id": offer.agent_id, **fields})
        for name, milli in (("cpus", 100), ("mem", 32_000)):
            task.resources.add(name=name, allocation_role=offer.role).scalar.milli = milli
        task.command.shell = True
        task.command.value = "true"
        return task

    def accept(self, session, offer, tasks):
        from protos.tessera.model.v1 import offer_pb2
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api

        launch = offer_pb2.Operation(launch=offer_pb2.Operation.Launch(tasks=tasks))
        return self.stub.AcceptOffers(
            api.AcceptOffersRequest(session=session, offer_ids=[offer.id], operations=[launch]),
            timeout=30,
        )

    def test_a_task_of_100_mib(self):
        _, session, offer = self.offer()
        task = self.task(offer, data=b"x" * (100 << 20))
        self.assert_refused(
            lambda: self.accept(session, offer, [task]),
            self.grpc.StatusCode.RESOURCE_EXHAUSTED,
        )

    def test_a_task_above_the_master_s_own_bound(self):
        from protos.tessera.model.v1 import task_pb2

        stream, session, offer = self.offer()
        answer = self.accept(session, offer, [self.task(offer, data=b"x" * (2 << 20))])
        self.assertEqual(list(answer.refused_task_ids), ["t"])
        status = next(self.events(stream, "update")).status
        self.assertEqual(status.state, task_pb2.TASK_ERROR)
        self.assertTrue(status.message)

    def test_names_with_slashes_and_newlines(self):
        from protos.tessera.model.v1 import task_pb2

        stream, session, offer = self.offer()
        wrong = ["../../etc/passwd", "a/b", "line\nbreak", "nul\0byte", "..", "", "x" * 300]
        answer = self.accept(session, offer, [self.task(offer, id=i) for i in wrong])
        self.assertEqual(sorted(answer.refused_task_ids), sorted(wrong))
        told = {}
        for update in self.events(stream, "update"):
            told[update.status.task_id] = update.status
            if len(told) == len(wrong):
                break
        for task_id in wrong:
            self.assertEqual(told[task_id].state, task_pb2.TASK_ERROR)
            self.assertTrue(told[task_id].message)

    def test_a_name_for_people_may_be_anything(self):
        name = 'a/../b\nsecond line\t"quoted" \\ \u2713'
        _, session = self.subscribe(name=name)
        state = cluster.wait_for(
            lambda: [
                f
                for f in self.cluster.json("state")["frameworks"]
                if f["id"] == session.framework_id
            ],
            10,
            "the framework in /state",
        )
        self.assertEqual(state[0]["name"], name)
        text = cluster.http_get(self.cluster.address("master", "http"), "/metrics")
        check = subprocess.run(
            ["promtool", "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)

    def test_more_than_was_offered(self):
        from protos.tessera.model.v1 import task_pb2

        stream, session, offer = self.offer()
        task = self.task(offer)
        task.resources[0].scalar.milli = 1_000_000_000
        self.assertEqual(list(self.accept(session, offer, [task]).refused_task_ids), ["t"])
        status = next(self.events(stream, "update")).status
        self.assertEqual(status.state, task_pb2.TASK_ERROR)
        # The offer was used up: a second use is refused.
        error = self.assert_refused(
            lambda: self.accept(session, offer, [self.task(offer)]),
            self.grpc.StatusCode.INVALID_ARGUMENT,
        )
        self.assertEqual(self.detail(error)[0], "INVALID_OFFER")

    def connect_agent(self, messages):
        """Opens an agent's stream with these messages; returns the stream's answers."""
        from protos.tessera.agentlink.v1 import agent_link_service_pb2 as link
        from protos.tessera.agentlink.v1 import agent_link_service_pb2_grpc as link_grpc

        def requests():
            yield link.ConnectRequest(messages=messages)
            time.sleep(3)  # keeps the stream open for the answer

        return link_grpc.AgentLinkServiceStub(self.channel).Connect(requests(), timeout=10)

    def registration(self, **fields):
        from protos.tessera.agentlink.v1 import agent_link_service_pb2 as link

        message = link.AgentMessage()
        info = message.register.info
        info.hostname = "simulated"
        info.address = "127.9.9.9:5051"
        info.version = "0.1.0"
        info.resources.add(name="cpus").scalar.milli = 1000
        message.register.total_resources.extend(info.resources)
        for name, value in fields.items():
            setattr(message.register, name, value)
        return message

    def test_an_agent_that_has_seen_a_newer_epoch(self):
        error = self.assert_refused(
            lambda: next(iter(self.connect_agent([self.registration(highest_epoch=1 << 60)]))),
            self.grpc.StatusCode.FAILED_PRECONDITION,
        )
        self.assertEqual(self.detail(error)[0], "STALE_EPOCH")

    def test_an_agent_that_does_not_register_first(self):
        from protos.tessera.agentlink.v1 import agent_link_service_pb2 as link

        pong = link.AgentMessage()
        pong.pong.sequence = 7
        self.assert_refused(
            lambda: next(iter(self.connect_agent([pong]))),
            self.grpc.StatusCode.INVALID_ARGUMENT,
            self.grpc.StatusCode.FAILED_PRECONDITION,
        )

    def test_an_agent_with_malformed_resources(self):
        message = self.registration()
        message.register.info.resources.add(name="cpus").scalar.milli = -5
        message.register.total_resources.add(name="cpus").scalar.milli = -5
        self.assert_refused(
            lambda: next(iter(self.connect_agent([message]))),
            self.grpc.StatusCode.INVALID_ARGUMENT,
        )


if __name__ == "__main__":
    cluster.main()
