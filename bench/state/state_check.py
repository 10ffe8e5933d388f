"""Checks an answer of /state field by field: presence, type, order and place of every key, against
the published shape of the endpoint, and every value that is known from how the cluster was made.

Doubles are written with a decimal point and integers without, so 4 is no double and 4.0 no integer.
"""

import collections
import json
import re

OPTIONAL, REQUIRED = True, False


class Problems(list):
    def add(self, where, what):
        if len(self) < 1000:
            self.append(f"{where}: {what}")


# ---- types: each takes (value, where, problems)


def _is(kind, name):
    def check(value, where, problems):
        # bool is an int in Python, not in JSON.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            problems.add(where, f"{value!r} is no {name}")

    return check


string = _is(str, "string")
boolean = _is(bool, "boolean")
integer = _is(int, "integer")
double = _is(float, "double with a decimal point")


def constant(wanted):
    def check(value, where, problems):
        if value != wanted or type(value) is not type(wanted):
            problems.add(where, f"{value!r} is not {wanted!r}")

    return check


def matching(pattern):
    expression = re.compile(pattern)

    def check(value, where, problems):
        if not isinstance(value, str) or not expression.fullmatch(value):
            problems.add(where, f"{value!r} does not look like {pattern}")

    return check


def array(element):
    def check(value, where, problems):
        if not isinstance(value, list):
            problems.add(where, "no array")
            return
        for i, item in enumerate(value):
            element(item, f"{where}[{i}]", problems)

    return check


def mapping(element):
    def check(value, where, problems):
        if not isinstance(value, dict):
            problems.add(where, "no object")
            return
        for key, item in value.items():
            element(item, f"{where}.{key}", problems)

    return check


def record(*fields):
    """An object with exactly these keys, in this order: (key, type[, OPTIONAL])."""
    known = {f[0]: f[1] for f in fields}
    required = [f[0] for f in fields if len(f) < 3 or f[2] is REQUIRED]
    order = {f[0]: i for i, f in enumerate(fields)}

    def check(value, where, problems):
        if not isinstance(value, dict):
            problems.add(where, "no object")
            return
        for key in required:
            if key not in value:
                problems.add(where, f"'{key}' is missing")
        places = [order[k] for k in value if k in order]
        if places != sorted(places):
            problems.add(where, f"keys are out of order: {list(value)}")
        for key, item in value.items():
            if key in known:
                known[key](item, f"{where}.{key}", problems)
            else:
                problems.add(where, f"'{key}' does not belong there")

    return check


def summary(value, where, problems):
    """cpus, gpus, mem, disk, then other resources by name."""
    if not isinstance(value, dict) or list(value)[:4] != ["cpus", "gpus", "mem", "disk"]:
        problems.add(where, f"no resource summary: {value!r}")
        return
    for key, item in value.items():
        if not isinstance(item, float) and not (
            isinstance(item, str) and re.fullmatch(r"\[.*\]|\{.*\}", item)
        ):
            problems.add(f"{where}.{key}", f"{item!r} is neither a double, ranges nor a set")


# ---- the tables

LABELS = array(record(("key", string), ("value", string, OPTIONAL)))
DOMAIN = record(
    (
        "fault_domain",
        record(("region", record(("name", string))), ("zone", record(("name", string)))),
    ),
)
ADDRESS = r"[0-9.]+:[0-9]+"

AGENT = record(
    ("id", string),
    ("hostname", string),
    ("port", integer),
    ("attributes", mapping(lambda value, where, problems: None)),
    ("domain", DOMAIN, OPTIONAL),
    ("pid", matching(r"slave\(\d+\)@" + ADDRESS)),
    ("registered_time", double),
    ("reregistered_time", double, OPTIONAL),
    ("resources", summary),
    ("used_resources", summary),
    ("offered_resources", summary),
    ("reserved_resources", mapping(summary)),
    ("unreserved_resources", summary),
    ("active", boolean),
    ("version", string),
    ("capabilities", array(string)),
    ("deactivated", boolean, OPTIONAL),
    ("drain_info", record(("state", string), ("config", mapping(lambda *_: None))), OPTIONAL),
    ("estimated_drain_start_time_seconds", double, OPTIONAL),
)

CONTAINER_STATUS = mapping(lambda *_: None)

TASK = record(
    ("id", string),
    ("name", string),
    ("framework_id", string),
    ("executor_id", string),
    ("slave_id", string),
    ("state", matching(r"TASK_[A-Z_]+")),
    ("resources", summary),
    ("limits", mapping(lambda *_: None), OPTIONAL),
    ("role", string),
    (
        "statuses",
        array(
            record(
                ("state", matching(r"TASK_[A-Z_]+")),
                ("timestamp", double),
                ("labels", LABELS, OPTIONAL),
                ("container_status", CONTAINER_STATUS, OPTIONAL),
                ("healthy", boolean, OPTIONAL),
            )
        ),
    ),
    ("user", string, OPTIONAL),
    ("labels", LABELS, OPTIONAL),
    ("discovery", mapping(lambda *_: None), OPTIONAL),
    ("container", mapping(lambda *_: None), OPTIONAL),
    ("health_check", mapping(lambda *_: None), OPTIONAL),
)

OFFER = record(
    ("id", string),
    ("framework_id", string),
    ("allocation_info", record(("role", string))),
    ("slave_id", string),
    ("resources", summary),
)

EXECUTOR = record(
    ("executor_id", string),
    ("name", string),
    ("framework_id", string),
    ("command", mapping(lambda *_: None)),
    ("resources", summary),
    ("role", string, OPTIONAL),
    ("labels", LABELS, OPTIONAL),
    ("type", matching("DEFAULT|CUSTOM"), OPTIONAL),
    ("slave_id", string),
)

FRAMEWORK = record(
    ("id", string),
    ("name", string),
    ("pid", string, OPTIONAL),
    ("used_resources", summary),
    ("offered_resources", summary),
    ("capabilities", array(string)),
    ("hostname", string),
    ("webui_url", string),
    ("active", boolean),
    ("connected", boolean),
    ("recovered", boolean),
    ("user", string),
    ("failover_timeout", double),
    ("checkpoint", boolean),
    ("registered_time", double),
    ("unregistered_time", double),
    ("principal", string, OPTIONAL),
    ("resources", summary),
    ("reregistered_time", double, OPTIONAL),
    ("roles", array(string), OPTIONAL),
    ("role", string, OPTIONAL),
    ("tasks", array(TASK)),
    ("unreachable_tasks", array(TASK)),
    ("completed_tasks", array(TASK)),
    ("offers", array(OFFER)),
    ("executors", array(EXECUTOR)),
    ("labels", LABELS, OPTIONAL),
    ("offer_constraints", mapping(lambda *_: None), OPTIONAL),
)

STATE = record(
    ("version", string),
    ("git_sha", string, OPTIONAL),
    ("git_branch", string, OPTIONAL),
    ("git_tag", string, OPTIONAL),
    ("build_date", string),
    ("build_user", string),
    ("build_time", double),
    ("start_time", double),
    ("elected_time", double, OPTIONAL),
    ("id", string),
    ("pid", matching("master@" + ADDRESS)),
    ("hostname", string),
    ("capabilities", array(string)),
    ("activated_slaves", double),
    ("deactivated_slaves", double),
    ("unreachable_slaves", double),
    ("domain", DOMAIN, OPTIONAL),
    ("leader", matching("master@" + ADDRESS), OPTIONAL),
    (
        "leader_info",
        record(
            ("id", string),
            ("pid", string),
            ("port", integer),
            ("hostname", string),
            ("domain", DOMAIN, OPTIONAL),
        ),
        OPTIONAL,
    ),
    ("cluster", string, OPTIONAL),
    ("log_dir", string, OPTIONAL),
    ("external_log_file", string, OPTIONAL),
    ("flags", mapping(string), OPTIONAL),
    ("slaves", array(AGENT)),
    (
        "recovered_slaves",
        array(
            record(
                ("id", string),
                ("hostname", string),
                ("port", integer),
                ("attributes", mapping(lambda *_: None)),
                ("domain", DOMAIN, OPTIONAL),
            )
        ),
    ),
    ("frameworks", array(FRAMEWORK)),
    ("completed_frameworks", array(FRAMEWORK)),
    ("orphan_tasks", constant([])),
    ("unregistered_frameworks", constant([])),
)


class _Twice(ValueError):
    pass


def _no_key_twice(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Twice(f"a key is written twice: {[k for k, _ in pairs]}")
    return result


def _amounts(values, times=1.0):
    wanted = {"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0}
    for name, value in values.items():
        wanted[name] = round(value * times, 3)
    return wanted


class _Values:
    """Compares what was made with what is told."""

    def __init__(self, state, truth, problems):
        self.state, self.truth, self.problems = state, truth, problems

    def same(self, where, value, wanted):
        if value != wanted:
            self.problems.add(where, f"{value!r} should be {wanted!r}")

    def amounts(self, where, value, wanted):
        got = {k: round(v, 3) for k, v in value.items() if isinstance(v, float)}
        self.same(where, got, wanted)

    def check(self, master_address):
        state, truth = self.state, self.truth
        self.same("pid", state["pid"], f"master@{master_address}")
        self.same("leader", state.get("leader"), state["pid"])
        leader = state.get("leader_info", {})
        self.same("leader_info.pid", leader.get("pid"), state["pid"])
        self.same("leader_info.id", leader.get("id"), state["id"])
        # Browsers come back to it: where /state is served, not where the master speaks gRPC.
        if not 0 < leader.get("port", 0) < 65536:
            self.problems.add("leader_info.port", "no port")
        self.same("activated_slaves", state["activated_slaves"], float(len(truth["agents"])))
        self.same("deactivated_slaves", state["deactivated_slaves"], 0.0)
        self.same("unreachable_slaves", state["unreachable_slaves"], 0.0)
        self.same("recovered_slaves", state["recovered_slaves"], [])
        self.same("completed_frameworks", state["completed_frameworks"], [])
        if not state.get("elected_time", 0) >= state["start_time"] > 0:
            self.problems.add("elected_time", "missing, or before start_time")
        self.agents()
        self.frameworks()

    def agents(self):
        agents = {a["id"]: a for a in self.state["slaves"]}
        self.same("slaves", len(self.state["slaves"]), len(agents))
        self.same("slaves", sorted(agents), sorted(a["id"] for a in self.truth["agents"]))
        offered = collections.defaultdict(collections.Counter)
        for framework in self.state["frameworks"]:
            for offer in framework["offers"]:
                for name, value in offer["resources"].items():
                    if isinstance(value, float):
                        offered[offer["slave_id"]][name] += value
        tasks = collections.Counter()
        for framework in self.truth["frameworks"]:
            tasks.update(framework["tasks_by_agent"])
        for made in self.truth["agents"]:
            agent = agents.get(made["id"])
            if agent is None:
                continue
            where = f"slaves {made['hostname']}"
            self.same(f"{where}.hostname", agent["hostname"], made["hostname"])
            self.same(f"{where}.active", agent["active"], True)
            self.same(f"{where}.port", agent["port"], int(agent["pid"].rsplit(":", 1)[1]))
            self.same(f"{where}.attributes", agent["attributes"], {})
            self.same(f"{where}.reserved_resources", agent["reserved_resources"], {})
            self.amounts(f"{where}.resources", agent["resources"], self.total())
            unreserved = agent["unreserved_resources"]
            self.amounts(f"{where}.unreserved_resources", unreserved, self.total())
            self.amounts(
                f"{where}.used_resources",
                agent["used_resources"],
                _amounts(self.truth["task_resources"], tasks[made["id"]]),
            )
            self.amounts(
                f"{where}.offered_resources",
                agent["offered_resources"],
                _amounts(offered[made["id"]]),
            )

    def total(self):
        return _amounts(self.truth["agent_resources"])

    def frameworks(self):
        frameworks = {f["id"]: f for f in self.state["frameworks"]}
        self.same(
            "frameworks", sorted(frameworks), sorted(f["id"] for f in self.truth["frameworks"])
        )
        for made in self.truth["frameworks"]:
            framework = frameworks.get(made["id"])
            if framework is None:
                continue
            where = f"frameworks {made['name']}"
            for key in ("name", "user", "hostname", "webui_url"):
                self.same(f"{where}.{key}", framework[key], made[key])
            for key, wanted in (
                ("active", True),
                ("connected", True),
                ("recovered", False),
                ("checkpoint", True),
                ("failover_timeout", 3600.0),
                ("unregistered_time", 0.0),
                ("unreachable_tasks", []),
                ("completed_tasks", []),
                ("executors", []),
            ):
                self.same(f"{where}.{key}", framework[key], wanted)
            if "PARTITION_AWARE" not in framework["capabilities"]:
                self.problems.add(f"{where}.capabilities", "PARTITION_AWARE is missing")
            if ("roles" in framework) == ("role" in framework):
                self.problems.add(where, "exactly one of 'roles' and 'role' belongs there")
            if "MULTI_ROLE" in framework["capabilities"]:
                self.same(f"{where}.roles", framework.get("roles"), [made["role"]])
            else:
                self.same(f"{where}.role", framework.get("role"), made["role"])
            self.tasks(where, framework, made)
            self.offers(where, framework)

    def tasks(self, where, framework, made):
        count = sum(made["tasks_by_agent"].values())
        self.same(f"{where}: number of tasks", len(framework["tasks"]), count)
        ids = {t["id"] for t in framework["tasks"]}
        self.same(f"{where}: different task ids", len(ids), count)
        by_agent = collections.Counter(t["slave_id"] for t in framework["tasks"])
        wanted = {a: n for a, n in made["tasks_by_agent"].items() if n}
        self.same(f"{where}: tasks by agent", dict(by_agent), wanted)
        labels = [{"key": f"key{i}", "value": f"value{i}"} for i in range(self.truth["labels"])]
        resources = _amounts(self.truth["task_resources"])
        for task in framework["tasks"]:
            at = f"{where} task {task['id']}"
            self.same(f"{at}.name", task["name"], task["id"])
            self.same(f"{at}.framework_id", task["framework_id"], made["id"])
            self.same(f"{at}.executor_id", task["executor_id"], "")
            self.same(f"{at}.state", task["state"], "TASK_RUNNING")
            self.same(f"{at}.role", task["role"], made["role"])
            self.amounts(f"{at}.resources", task["resources"], resources)
            self.same(f"{at}.statuses", [s["state"] for s in task["statuses"]], ["TASK_RUNNING"])
            self.same(f"{at}.labels", task.get("labels", []), labels)
            if "user" in task:
                self.same(f"{at}.user", task["user"], made["user"])
        self.amounts(
            f"{where}.used_resources",
            framework["used_resources"],
            _amounts(self.truth["task_resources"], count),
        )

    def offers(self, where, framework):
        agents = {a["id"] for a in self.state["slaves"]}
        offered = collections.Counter()
        for offer in framework["offers"]:
            at = f"{where} offer {offer['id']}"
            self.same(f"{at}.framework_id", offer["framework_id"], framework["id"])
            if offer["slave_id"] not in agents:
                self.problems.add(f"{at}.slave_id", "no such agent in the same answer")
            for name, value in offer["resources"].items():
                if isinstance(value, float):
                    offered[name] += value
        told = framework["offered_resources"]
        self.amounts(f"{where}.offered_resources", told, _amounts(offered))
        both = collections.Counter(offered)
        for name, value in framework["used_resources"].items():
            if isinstance(value, float):
                both[name] += value
        self.amounts(f"{where}.resources", framework["resources"], _amounts(both))


def check(body, truth, master_address):
    """The list of everything that is wrong with `body`, empty when it is right."""
    problems = Problems()
    try:
        state = json.loads(body, object_pairs_hook=_no_key_twice)
    except ValueError as error:
        problems.add("/state", f"no JSON: {error}")
        return problems
    STATE(state, "state", problems)
    if not problems:
        _Values(state, truth, problems).check(master_address)
    return problems
