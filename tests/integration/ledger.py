"""A framework with a ledger of its own, and tasks that leave a mark for each execution.

What ran is known from the marks, and what was told from the ledger: neither asks Tessera. Tests of
faults compare the two. Call cluster.make_stubs() before this module is imported.
"""

import collections
import itertools
import pathlib
import threading
import time

import grpc
from google.protobuf import duration_pb2
from protos.tessera.model.v1 import error_pb2, framework_pb2, offer_pb2, task_pb2
from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api
from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

TERMINAL = {
    task_pb2.TASK_FINISHED,
    task_pb2.TASK_FAILED,
    task_pb2.TASK_KILLED,
    task_pb2.TASK_ERROR,
    task_pb2.TASK_LOST,
    task_pb2.TASK_DROPPED,
    task_pb2.TASK_GONE,
    task_pb2.TASK_GONE_BY_OPERATOR,
}
CALL_SECONDS = 20


def state_name(state):
    return task_pb2.TaskState.Name(state)


def detail_of(error):
    """The ErrorDetail of a failed call; an empty one when it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for packed in error_pb2.StatusDetails.FromString(value).details:
                detail = error_pb2.ErrorDetail()
                if packed.Unpack(detail):
                    return detail
    return error_pb2.ErrorDetail()


class CountingTask:
    """Makes commands that leave one file in `folder` for each time that they are executed."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o777, parents=True, exist_ok=True)
        self.folder.chmod(0o777)

    def command(self, task_id, then="true"):
        return f"mktemp {self.folder}/{task_id}.XXXXXXXXXX >/dev/null && {then}"

    def executions(self):
        """How often each task was executed, by task id."""
        return collections.Counter(p.name.rpartition(".")[0] for p in self.folder.iterdir())


class Entry:
    """What the ledger says of one launch."""

    def __init__(self, task_id, agent_id):
        self.task_id = task_id
        self.agent_id = agent_id
        self.told = []  # statuses, repeats too, in the order in which they came

    def states(self):
        return [s.state for s in self.told]

    def ended(self):
        return any(s.state in TERMINAL for s in self.told)


class LedgerFramework:
    """One framework; `masters` are dialled in turn until one leads.

    The stream is read by a thread of its own, which acknowledges updates unless `acknowledge` is
    false. Everything else is called by the test's thread.
    """

    def __init__(self, masters, name="ledger", role="ledger", acknowledge=True, capabilities=()):
        self.masters = list(masters)
        self.acknowledge = acknowledge
        self.info = framework_pb2.FrameworkInfo(
            name=name, user="root", roles=[role], checkpoint=True, webui_url=""
        )
        self.info.failover_timeout.CopyFrom(duration_pb2.Duration(seconds=3600))
        self.info.capabilities.extend(
            [framework_pb2.FrameworkInfo.PARTITION_AWARE, *capabilities]
        )
        self.lock = threading.Condition()
        self.offers = {}
        # Of each id the entries in the order of their launches.
        self.entries = collections.defaultdict(list)
        self.strangers = []  # statuses of ids that were never launched
        self.failures = []
        self.sessions = 0
        self.session = None
        self.stub = None
        self.over = None  # why the session cannot be opened again
        self.stopping = False
        self.stream = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.wait(lambda: self.session is not None, 30, "a subscription")
        return self

    def __exit__(self, *exception):
        if self.session is not None:
            try:
                self.call("Teardown", api.TeardownRequest(session=self.session))
            except grpc.RpcError:
                pass  # the cluster is going down, too
        self.stopping = True
        if self.stream is not None:
            self.stream.cancel()
        self.thread.join(30)

    def wait(self, condition, seconds=30, what="the condition"):
        """Waits until `condition()` is true, judged anew after each event; returns its value."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while True:
                value = condition()
                if value:
                    return value
                if self.over is not None:
                    raise AssertionError(f"the session is over: {self.over}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{what} did not come within {seconds} s")
                self.lock.wait(min(left, 0.5))

    def call(self, method, request):
        return getattr(self.stub, method)(request, timeout=CALL_SECONDS)

    # ---- the stream

    def _run(self):
        for address in itertools.cycle(self.masters):
            if self.stopping or self.over is not None:
                return
            self._follow(address)
            time.sleep(0.05)

    def _follow(self, address):
        options = [
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_receive_message_length", 16 << 20),
        ]
        with grpc.insecure_channel(address, options) as channel:
            self.stub = api_grpc.SchedulerServiceStub(channel)
            stream = self.stub.Subscribe(api.SubscribeRequest(info=self.info))
            self.stream = stream
            try:
                for response in stream:
                    acks = [
                        event.update.status
                        for event in response.events
                        if event.WhichOneof("kind") == "update" and event.update.status.uuid
                    ]
                    # First: who hears here of an end may use the id again at once.
                    if acks and self.acknowledge:
                        self.acknowledge_all(acks)
                    with self.lock:
                        for event in response.events:
                            self._take(event)
                        self.lock.notify_all()
            except grpc.RpcError as error:
                final = {
                    error_pb2.ErrorDetail.FRAMEWORK_REMOVED,
                    error_pb2.ErrorDetail.FRAMEWORK_FAILED_OVER,
                    error_pb2.ErrorDetail.INVALID_FIELD,
                }
                if detail_of(error).reason in final and not self.stopping:
                    self.over = error.details()
            with self.lock:
                self.session = None
                self.offers.clear()
                self.lock.notify_all()

    def _take(self, event):
        kind = event.WhichOneof("kind")
        if kind == "subscribed":
            self.info.id = event.subscribed.framework_id
            self.sessions += 1
            self.session = api.Session(
                framework_id=event.subscribed.framework_id,
                subscription_id=event.subscribed.subscription_id,
            )
        elif kind == "offers":
            for offer in event.offers.offers:
                self.offers[offer.id] = offer
        elif kind == "rescind":
            for offer_id in event.rescind.offer_ids:
                self.offers.pop(offer_id, None)
        elif kind == "update":
            status = event.update.status
            if self.entries[status.task_id]:
                self.entries[status.task_id][-1].told.append(status)
            else:
                self.strangers.append(status)
        elif kind == "failure":
            self.failures.append(event.failure)

    def acknowledge_all(self, statuses):
        updates = [
            api.AcknowledgeRequest.Update(agent_id=s.agent_id, task_id=s.task_id, uuid=s.uuid)
            for s in statuses
        ]
        try:
            self.call("Acknowledge", api.AcknowledgeRequest(session=self.session, updates=updates))
        except (grpc.RpcError, TypeError):
            pass  # the session has ended: the agent repeats what was not acknowledged

    # ---- launching

    def take_offer(self, needs, seconds=30, agent_id=None):
        """An outstanding offer that holds `needs` ({name: thousandths}); it is no longer kept.

        What came free in pieces is offered in pieces. While none of those that are there is large
        enough they are all given back, to be offered together.
        """

        def found():
            for offer in self.offers.values():
                if agent_id is not None and offer.agent_id != agent_id:
                    continue
                has = scalars(offer.resources)
                if all(has.get(name, 0) >= milli for name, milli in needs.items()):
                    return self.offers.pop(offer.id)
            return None

        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.wait(found, min(seconds, 0.5), f"an offer of {needs}")
            except AssertionError:
                if self.over is not None or time.monotonic() > deadline:
                    raise
            self.decline_all()

    def task(self, task_id, offer, command, needs):
        task = task_pb2.TaskInfo(name=task_id, id=task_id, agent_id=offer.agent_id)
        add_resources(task.resources, offer.role, needs)
        task.command.shell = True
        task.command.value = command
        return task

    def executor(self, executor_id, offer, needs, kind=task_pb2.ExecutorInfo.DEFAULT):
        executor = task_pb2.ExecutorInfo(type=kind, id=executor_id, name=executor_id)
        add_resources(executor.resources, offer.role, needs)
        return executor

    def accept(self, offer, operations, refuse_seconds=0.0):
        """Accepts one offer; every task of `operations` gets an entry. Returns the answer."""
        with self.lock:
            for operation in operations:
                tasks = [*operation.launch.tasks, *operation.launch_group.group.tasks]
                for task in tasks:
                    self.entries[task.id].append(Entry(task.id, offer.agent_id))
        refuse = duration_pb2.Duration()
        refuse.FromNanoseconds(int(refuse_seconds * 1e9))
        answer = self.call(
            "AcceptOffers",
            api.AcceptOffersRequest(
                session=self.session,
                offer_ids=[offer.id],
                operations=operations,
                filters=offer_pb2.Filters(refuse_duration=refuse),
            ),
        )
        if answer.refused_task_ids:
            raise AssertionError(f"refused: {list(answer.refused_task_ids)}")
        return answer

    def launch(self, offer, tasks):
        operation = offer_pb2.Operation(launch=offer_pb2.Operation.Launch(tasks=tasks))
        return self.accept(offer, [operation])

    def await_end(self, task_id, seconds=30):
        """The terminal status of the newest launch of the id."""
        entry = self.entries[task_id][-1]
        self.wait(entry.ended, seconds, f"the end of {task_id}, told {entry.states()}")
        return next(s for s in entry.told if s.state in TERMINAL)

    def kill(self, task_id, agent_id=""):
        self.call(
            "KillTask",
            api.KillTaskRequest(session=self.session, task_id=task_id, agent_id=agent_id),
        )

    def decline_all(self, refuse_seconds=0.0):
        with self.lock:
            ids, self.offers = list(self.offers), {}
        self.decline(ids, refuse_seconds)

    def revive(self):
        self.call("ReviveOffers", api.ReviveOffersRequest(session=self.session))

    def decline(self, ids, refuse_seconds=0.0):
        if not ids:
            return
        refuse = duration_pb2.Duration()
        refuse.FromNanoseconds(int(refuse_seconds * 1e9))
        self.call(
            "DeclineOffers",
            api.DeclineOffersRequest(
                session=self.session,
                offer_ids=ids,
                filters=offer_pb2.Filters(refuse_duration=refuse),
            ),
        )


def group_operation(executor, tasks):
    launch = offer_pb2.Operation.LaunchGroup(
        executor=executor, group=task_pb2.TaskGroupInfo(tasks=tasks)
    )
    return offer_pb2.Operation(launch_group=launch)


def add_resources(resources, role, needs):
    for name, milli in needs.items():
        resources.add(name=name, allocation_role=role).scalar.milli = milli


def scalars(resources):
    """Thousandths of each scalar, by name."""
    found = collections.Counter()
    for resource in resources:
        if resource.WhichOneof("value") == "scalar":
            found[resource.name] += resource.scalar.milli
    return dict(found)
