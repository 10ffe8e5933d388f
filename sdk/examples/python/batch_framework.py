#!/usr/bin/python3
"""A framework in plain Python: runs a command many times, each run a task in a container.

It uses nothing but the contracts (generate_stubs.sh) and grpcio. It finds the leading master, comes
back under the same id after the master was restarted, or has gone silent, reconciles its tasks
then, acknowledges updates, and launches lost tasks again under a new id.

    ./generate_stubs.sh /tmp/stubs
    PYTHONPATH=/tmp/stubs ./batch_framework.py --master 127.0.0.1:5050 --tasks 10 -- 'echo hello'

Exit status: 0 when every task finished, 1 when one failed, 2 when the session ended for good.
"""

import argparse
import random
import sys
import threading
import time

import grpc
from google.protobuf import duration_pb2
from protos.tessera.model.v1 import error_pb2, framework_pb2, offer_pb2, task_pb2
from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api
from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

# A machine that loses its power, or its network, closes no connection: only pings find that out.
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # what one attempt to connect may take
]
# A call without a time limit may wait for ever.
CALL_SECONDS = 20
# How long a subscription may take, and after how many heartbeats that do not come it is given up:
# a master that is stuck may still answer pings, or none of its own.
SUBSCRIBE_SECONDS = 30
HEARTBEATS_MISSED_MAX = 5

FINISHED = {task_pb2.TASK_FINISHED}
FAILED = {task_pb2.TASK_FAILED, task_pb2.TASK_KILLED, task_pb2.TASK_ERROR}
# The task does not run and may be tried again.
LOST = {
    task_pb2.TASK_LOST,
    task_pb2.TASK_DROPPED,
    task_pb2.TASK_GONE,
    task_pb2.TASK_GONE_BY_OPERATOR,
    task_pb2.TASK_UNKNOWN,
}


def error_detail(error):
    """The ErrorDetail of a failed call; an empty one when it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for any_message in error_pb2.StatusDetails.FromString(value).details:
                detail = error_pb2.ErrorDetail()
                if any_message.Unpack(detail):
                    return detail
    return error_pb2.ErrorDetail()


class SessionOver(Exception):
    """The session cannot be opened again."""


class SilentMaster(Exception):
    """Nothing has come for too long on a stream that is still open."""


class Watchdog:
    """Cancels a stream on which nothing has come for some time."""

    def __init__(self, stream, seconds):
        self.stream = stream
        self.seconds = seconds
        self.heard = time.monotonic()
        self.fired = False
        self.closed = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while not self.closed.wait(max(self.heard + self.seconds - time.monotonic(), 0.01)):
            if time.monotonic() >= self.heard + self.seconds:
                self.fired = True
                self.stream.cancel()
                return


class BatchFramework:
    """Runs `command` until it has finished `count` times."""

    def __init__(self, masters, name, role, command, count, cpus_milli, mem_milli):
        self.masters = list(masters)
        self.address = self.masters[0]
        self.info = api.SubscribeRequest().info
        self.info.name = name
        self.info.user = "root"
        self.info.roles.append(role)
        self.info.checkpoint = True
        self.info.failover_timeout.CopyFrom(duration_pb2.Duration(seconds=3600))
        self.info.capabilities.append(framework_pb2.FrameworkInfo.PARTITION_AWARE)
        self.command = command
        self.need = {"cpus": cpus_milli, "mem": mem_milli}
        self.waiting = [f"{name}-{i}" for i in range(count)]
        self.live = {}  # task id -> agent id
        self.unanswered = set()  # tasks whose state this session has not told
        self.finished = set()
        self.failed = set()
        self.retries = 0
        self.session = None
        self.stub = None
        self.watchdog = None

    def run(self):
        """Works until all tasks have ended; returns the exit status."""
        wait = 0.1
        while True:
            try:
                self.follow_stream()
                return 1 if self.failed else 0
            except grpc.RpcError as error:
                detail, reason = error_detail(error), error.details()
                final = {
                    error_pb2.ErrorDetail.FRAMEWORK_REMOVED,
                    error_pb2.ErrorDetail.FRAMEWORK_FAILED_OVER,
                    error_pb2.ErrorDetail.INVALID_FIELD,
                }
                if detail.reason in final:
                    raise SessionOver(reason) from error
            except SilentMaster as silent:
                detail, reason = error_pb2.ErrorDetail(), str(silent)
            if self.session is not None:
                print(f"session lost: {reason}", flush=True)
                wait = 0.1
            self.session = None
            self.address = detail.leader_address or self.next_master()
            time.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, 5.0)

    def next_master(self):
        """Another one than the last, if there is one."""
        return random.choice([m for m in self.masters if m != self.address] or self.masters)

    def follow_stream(self):
        """One subscription, from its opening to the end of the work."""
        with grpc.insecure_channel(self.address, CHANNEL_OPTIONS) as channel:
            self.stub = api_grpc.SchedulerServiceStub(channel)
            stream = self.stub.Subscribe(api.SubscribeRequest(info=self.info))
            self.watchdog = Watchdog(stream, SUBSCRIBE_SECONDS)
            try:
                for response in stream:
                    self.watchdog.heard = time.monotonic()
                    for event in response.events:
                        self.handle(event)
                    if not self.waiting and not self.live:
                        self.call("Teardown", api.TeardownRequest(session=self.session))
                        stream.cancel()
                        return
            except grpc.RpcError as error:
                if not self.watchdog.fired:
                    raise
                silence = f"{self.address} has said nothing for {self.watchdog.seconds:g} s"
                raise SilentMaster(silence) from error
            finally:
                self.watchdog.closed.set()
            raise SessionOver("the master ended the stream without a reason")

    def call(self, method, request):
        return getattr(self.stub, method)(request, timeout=CALL_SECONDS)

    def handle(self, event):
        kind = event.WhichOneof("kind")
        if kind == "subscribed":
            self.subscribed(event.subscribed)
        elif kind == "offers":
            for offer in event.offers.offers:
                self.use(offer)
        elif kind == "update":
            self.update(event.update.status)
        elif kind == "heartbeat":
            self.reconcile()  # agents that come back late could not be asked about before
        elif kind == "error":
            print(f"master: {event.error.message}", flush=True)

    def subscribed(self, subscribed):
        again = bool(self.info.id)
        self.info.id = subscribed.framework_id
        self.session = api.Session(
            framework_id=subscribed.framework_id, subscription_id=subscribed.subscription_id
        )
        heartbeat = subscribed.heartbeat_interval.ToTimedelta().total_seconds()
        self.watchdog.seconds = HEARTBEATS_MISSED_MAX * (heartbeat or 15)
        print(f"{'re' if again else ''}subscribed as {self.info.id}", flush=True)
        self.unanswered = set(self.live)
        self.reconcile()

    def reconcile(self):
        """Asks for the state of the tasks of which this session has told nothing yet."""
        tasks = [
            api.ReconcileTasksRequest.Task(task_id=task, agent_id=self.live[task])
            for task in self.unanswered
            if task in self.live
        ]
        if tasks:
            self.call(
                "ReconcileTasks", api.ReconcileTasksRequest(session=self.session, tasks=tasks)
            )

    def use(self, offer):
        """Launches as many waiting tasks as fit; declines when none does."""
        left = {
            r.name: r.scalar.milli
            for r in offer.resources
            if r.WhichOneof("value") == "scalar" and not r.reservations and not r.revocable
        }
        tasks = []
        while self.waiting and all(left.get(n, 0) >= v for n, v in self.need.items()):
            task_id = self.waiting.pop(0)
            task = task_pb2.TaskInfo(name=task_id, id=task_id, agent_id=offer.agent_id)
            for name, milli in self.need.items():
                left[name] -= milli
                resource = task.resources.add(name=name, allocation_role=offer.role)
                resource.scalar.milli = milli
            task.command.shell = True
            task.command.value = self.command
            tasks.append(task)
            self.live[task_id] = offer.agent_id
        if not tasks:
            # What does not fit now may fit soon; without work an hour is soon enough.
            refuse = duration_pb2.Duration(seconds=5 if self.waiting else 3600)
            self.call(
                "DeclineOffers",
                api.DeclineOffersRequest(
                    session=self.session,
                    offer_ids=[offer.id],
                    filters=offer_pb2.Filters(refuse_duration=refuse),
                ),
            )
            return
        operation = offer_pb2.Operation(launch=offer_pb2.Operation.Launch(tasks=tasks))
        try:
            self.call(
                "AcceptOffers",
                api.AcceptOffersRequest(
                    session=self.session, offer_ids=[offer.id], operations=[operation]
                ),
            )
        except grpc.RpcError as error:
            # The offer was taken back meanwhile; updates tell that its tasks were dropped.
            if error_detail(error).reason != error_pb2.ErrorDetail.INVALID_OFFER:
                raise

    def update(self, status):
        state = status.state
        self.unanswered.discard(status.task_id)
        if status.task_id in self.live:
            if state in FINISHED:
                del self.live[status.task_id]
                self.finished.add(status.task_id)
            elif state in FAILED:
                del self.live[status.task_id]
                self.failed.add(status.task_id)
            elif state in LOST:
                del self.live[status.task_id]
                self.retries += 1
                base = status.task_id.split(".")[0]
                self.waiting.append(f"{base}.{self.retries}")
                self.call("ReviveOffers", api.ReviveOffersRequest(session=self.session))
            if state in FINISHED | FAILED | LOST:
                name = task_pb2.TaskState.Name(state)
                print(f"{status.task_id} {name} {status.message}".rstrip(), flush=True)
        if status.uuid:
            self.call(
                "Acknowledge",
                api.AcknowledgeRequest(
                    session=self.session,
                    updates=[
                        api.AcknowledgeRequest.Update(
                            agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid
                        )
                    ],
                ),
            )


def milli(text):
    """A positive decimal number as thousandths."""
    value = round(float(text) * 1000)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--master", required=True, help="host:port of each master, by commas")
    parser.add_argument("--name", default="python-batch", help="the framework's name")
    parser.add_argument("--role", default="*", help="role to be offered resources for")
    parser.add_argument("--tasks", type=int, default=10, help="how many tasks to run")
    parser.add_argument("--cpus", type=milli, default=100, help="cpus of a task (0.1)")
    parser.add_argument("--mem", type=milli, default=32000, help="memory of a task in MiB (32)")
    parser.add_argument("command", help="shell command of each task")
    args = parser.parse_args()
    framework = BatchFramework(
        args.master.split(","), args.name, args.role, args.command, args.tasks, args.cpus, args.mem
    )
    try:
        status = framework.run()
    except SessionOver as over:
        print(f"{args.name}: {over}", file=sys.stderr)
        return 2
    print(
        f"{len(framework.finished)} finished, {len(framework.failed)} failed, "
        f"{framework.retries} launched again",
        flush=True,
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
