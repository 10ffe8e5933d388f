#!/usr/bin/python3
"""Two registries before one store: one acts, the other stands by and takes over after a kill -9.
Masters keep their leader or find one again, and nothing that was acknowledged is lost."""

import tempfile
import threading
import time
import unittest

import cluster

KILLS = 5


@cluster.needs_root
class RegistryFailover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def setUp(self):
        from protos.tessera.registry.v1 import registry_service_pb2 as api
        from protos.tessera.registry.v1 import registry_service_pb2_grpc as api_grpc

        self.api, self.api_grpc = api, api_grpc
        self.services = self.enterContext(cluster.Services())
        self.data = self.services.folder / "registry-data"
        self.registries = [self.start_registry(i) for i in (1, 2)]

    def start_registry(self, number):
        return self.services.start(
            f"registry-{number}", "registry-svc", f"--data_dir={self.data}", "--lease_ttl=4s"
        )

    def call(self, registry, method, request, timeout=5):
        """The answer, or (status, reason, address of the hint)."""
        import grpc
        from protos.tessera.model.v1 import error_pb2

        with grpc.insecure_channel(registry.grpc) as channel:
            try:
                stub = self.api_grpc.RegistryServiceStub(channel)
                return getattr(stub, method)(request, timeout=timeout)
            except grpc.RpcError as error:
                for key, value in error.trailing_metadata() or ():
                    if key != "grpc-status-details-bin":
                        continue
                    for packed in error_pb2.StatusDetails.FromString(value).details:
                        detail = error_pb2.ErrorDetail()
                        if packed.Unpack(detail):
                            reason = error_pb2.ErrorDetail.Reason.Name(detail.reason)
                            return (error.code().name, reason, detail.leader_address)
                return (error.code().name, "", "")

    def acting(self):
        for registry in self.registries:
            if registry.running() and registry.metric("tessera_registry_acting") == 1:
                return registry
        return None

    def read_all(self, prefix):
        records, request = {}, self.api.ReadRequest(prefixes=[prefix])
        while True:
            page = self.call(self.acting(), "Read", request)
            self.assertIsInstance(page, self.api.ReadResponse, page)
            for record in page.records:
                records[record.key] = (record.value.decode(), record.version)
            if not page.next_page_token:
                return records
            request.page_token = page.next_page_token

    def test_a_standby_refuses_and_names_the_one_that_acts(self):
        first, second = self.registries
        self.assertEqual(self.acting(), first)
        for method, request in (
            ("Read", self.api.ReadRequest()),
            ("Commit", self.api.CommitRequest(writes=[self.api.Write(key="a", value=b"1")])),
            ("Renew", self.api.RenewRequest(candidate_id="m", epoch=1)),
        ):
            refused = self.call(second, method, request)
            self.assertEqual(refused, ("UNAVAILABLE", "NOT_LEADER", first.grpc), method)
        # Its end in order hands the store over at once.
        first.stop()
        cluster.wait_for(lambda: self.acting() is second, 20, "the standby's turn", pause=0.02)
        first.start()
        refused = self.call(first, "Read", self.api.ReadRequest())
        self.assertEqual(refused, ("UNAVAILABLE", "NOT_LEADER", second.grpc))

    def test_the_standby_takes_over_and_nothing_acknowledged_is_lost(self):
        allocator = self.services.allocator()
        both = ",".join(r.grpc for r in self.registries)
        masters = [
            self.services.start(
                f"master-{i}",
                "master-svc",
                f"--registry={both}",
                f"--allocator={allocator.grpc}",
            )
            for i in (1, 2)
        ]

        def leader():
            leading = [m for m in masters if m.metric("tessera_master_leader") == 1]
            return leading[0] if len(leading) == 1 else None

        cluster.wait_for(leader, 40, "a leader")
        acknowledged, attempted, stop = {}, {}, threading.Event()

        def write(name):
            """Counts up a key of its own, at whichever registry takes it."""
            count, at = 0, 0
            while not stop.is_set():
                count += 1
                value, key = str(count), f"test/{name}"
                attempted[key] = count
                write_it = self.api.Write(key=key, value=value.encode())
                request = self.api.CommitRequest(writes=[write_it])
                while not stop.is_set():
                    answer = self.call(self.registries[at], "Commit", request, timeout=2)
                    if isinstance(answer, self.api.CommitResponse):
                        acknowledged[key] = (count, answer.version)
                        break
                    at = 1 - at
                    time.sleep(0.01)

        writers = [threading.Thread(target=write, args=(i,)) for i in range(3)]
        for writer in writers:
            writer.start()
        takeover_seconds, kept = [], 0
        try:
            for _ in range(KILLS):
                before = dict(acknowledged)
                cluster.wait_for(
                    lambda before=before: all(
                        acknowledged.get(k, (0,))[0] > before.get(k, (0,))[0]
                        for k in ("test/0", "test/1", "test/2")
                    ),
                    40,
                    "writes",
                )
                old = self.acting()
                new = self.registries[1 - self.registries.index(old)]
                led_by = cluster.wait_for(leader, 40, "a leader")
                epoch = led_by.metric("tessera_master_epoch")
                old.kill()
                killed = time.monotonic()
                cluster.wait_for(lambda new=new: self.acting() is new, 40, "the standby's turn")
                takeover_seconds.append(time.monotonic() - killed)
                # Writers go on: what is there is what was acknowledged, or later.
                known = dict(acknowledged)
                found = self.read_all("test/")
                for key, (count, version) in known.items():
                    self.assertGreaterEqual(int(found[key][0]), count, key)
                    self.assertGreaterEqual(found[key][1], version, key)
                leads = cluster.wait_for(leader, 40, "a leader after the kill")
                kept += leads is led_by and leads.metric("tessera_master_epoch") == epoch
                old.start()
                self.assertEqual(old.metric("tessera_registry_acting"), 0)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        found = self.read_all("test/")
        for key, (count, version) in acknowledged.items():
            value, at = found[key]
            self.assertGreaterEqual(int(value), count, "an acknowledged write is lost")
            self.assertLessEqual(int(value), attempted[key])
            self.assertGreaterEqual(at, version)
        total = sum(count for count, _ in acknowledged.values())
        self.assertGreater(total, KILLS)
        print(
            f"{KILLS} kills, {total} writes acknowledged, none lost; took over after "
            + ", ".join(f"{s:.2f}" for s in takeover_seconds)
            + f" s; the leading master kept its lease {kept} times"
        )


if __name__ == "__main__":
    cluster.main()
