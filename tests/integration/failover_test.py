#!/usr/bin/python3
"""Two masters: the standby names the leader; it takes over after a kill -9, and work goes on."""

import subprocess
import tempfile
import unittest

import cluster


@cluster.needs_root
class Failover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def setUp(self):
        self.services = self.enterContext(cluster.Services())
        self.registry = self.services.registry("--lease_ttl=2s")
        self.allocator = self.services.allocator()
        self.masters = [
            self.services.master(self.registry, self.allocator, name=f"master-{i}") for i in (1, 2)
        ]

    def refusal(self, master):
        """Reason and leader's address of the answer to a subscription; None when it is accepted."""
        import grpc
        from protos.tessera.model.v1 import error_pb2, framework_pb2
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api
        from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

        info = framework_pb2.FrameworkInfo(name="probe", user="root", roles=["probe"])
        with grpc.insecure_channel(master.grpc) as channel:
            stream = api_grpc.SchedulerServiceStub(channel).Subscribe(
                api.SubscribeRequest(info=info), timeout=5
            )
            try:
                next(iter(stream))
                stream.cancel()
                return None
            except grpc.RpcError as error:
                for key, value in error.trailing_metadata() or ():
                    if key != "grpc-status-details-bin":
                        continue
                    details = error_pb2.StatusDetails.FromString(value)
                    for packed in details.details:
                        detail = error_pb2.ErrorDetail()
                        if packed.Unpack(detail):
                            self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                            return (
                                error_pb2.ErrorDetail.Reason.Name(detail.reason),
                                detail.leader_address,
                            )
                return (error.code().name, error.details())

    def leader_and_standby(self):
        def found():
            refusals = [self.refusal(m) for m in self.masters if m.running()]
            return None in refusals and refusals

        refusals = cluster.wait_for(found, 15, "a leader", pause=0.2)
        leader = refusals.index(None)
        return self.masters[leader], self.masters[1 - leader]

    def test_the_standby_names_the_leader(self):
        leader, standby = self.leader_and_standby()
        reason, address = cluster.wait_for(
            lambda: (lambda r: r if r and r[1] else None)(self.refusal(standby)),
            10,
            "the leader's address",
        )
        self.assertEqual(reason, "NOT_LEADER")
        self.assertEqual(address, leader.grpc)

    def test_the_standby_takes_over_and_work_goes_on(self):
        leader, standby = self.leader_and_standby()
        self.services.agent(*self.masters, flags=["--registration_backoff_max=1s"])
        masters = ",".join(m.grpc for m in self.masters)
        work = subprocess.Popen(
            [
                str(self.services.bin / "tessera"),
                "run",
                f"--master={masters}",
                "--count=8",
                "--cpus=0.5",
                f"--output_dir={self.services.folder}/out",
                "sleep 2; echo done",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(work.kill)
        out = self.services.folder / "out"
        cluster.wait_for(
            lambda: out.is_dir() and list(out.glob("*.stdout")), 20, "the first task's end"
        )
        leader.kill()
        cluster.wait_for(lambda: self.refusal(standby) is None, 15, "the new leader", pause=0.2)
        _, errors = work.communicate(timeout=40)
        self.assertEqual(work.returncode, 0, errors)
        self.assertIn("8/8 finished", errors)

        # The old leader comes back as a standby of the new one.
        leader.start()
        reason, address = cluster.wait_for(
            lambda: (lambda r: r if r and r[1] else None)(self.refusal(leader)),
            10,
            "the new leader's address",
        )
        self.assertEqual((reason, address), ("NOT_LEADER", standby.grpc))


if __name__ == "__main__":
    cluster.main()
