#!/usr/bin/python3
"""The check of /state sees what is wrong."""

import copy
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import state_check  # noqa: E402

ZERO = {"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0}
TASK_RESOURCES = {"cpus": 0.1, "gpus": 0.0, "mem": 5.0, "disk": 0.0}
TOTAL = {"cpus": 20.0, "gpus": 0.0, "mem": 100.0, "disk": 10.0}
MASTER = "127.0.0.1:5050"

TRUTH = {
    "agents": [{"hostname": "sim-0", "id": "A0"}],
    "frameworks": [
        {
            "id": "F0",
            "name": "sim",
            "user": "nobody",
            "role": "r",
            "hostname": "h",
            "webui_url": "u",
            "tasks_by_agent": {"A0": 1},
        }
    ],
    "agent_resources": {"cpus": 20, "mem": 100, "disk": 10},
    "task_resources": {"cpus": 0.1, "mem": 5},
    "labels": 1,
}

STATE = {
    "version": "0.1.0",
    "build_date": "d",
    "build_user": "u",
    "build_time": 1.0,
    "start_time": 1.5,
    "elected_time": 2.5,
    "id": "M",
    "pid": f"master@{MASTER}",
    "hostname": "h",
    "capabilities": [],
    "activated_slaves": 1.0,
    "deactivated_slaves": 0.0,
    "unreachable_slaves": 0.0,
    "leader": f"master@{MASTER}",
    "leader_info": {"id": "M", "pid": f"master@{MASTER}", "port": 5050, "hostname": "h"},
    "flags": {"listen": "x"},
    "slaves": [
        {
            "id": "A0",
            "hostname": "sim-0",
            "port": 5051,
            "attributes": {},
            "pid": "slave(1)@127.1.0.1:5051",
            "registered_time": 3.0,
            "resources": TOTAL,
            "used_resources": TASK_RESOURCES,
            "offered_resources": ZERO,
            "reserved_resources": {},
            "unreserved_resources": TOTAL,
            "active": True,
            "version": "0.1.0",
            "capabilities": [],
        }
    ],
    "recovered_slaves": [],
    "frameworks": [
        {
            "id": "F0",
            "name": "sim",
            "used_resources": TASK_RESOURCES,
            "offered_resources": ZERO,
            "capabilities": ["PARTITION_AWARE", "MULTI_ROLE"],
            "hostname": "h",
            "webui_url": "u",
            "active": True,
            "connected": True,
            "recovered": False,
            "user": "nobody",
            "failover_timeout": 3600.0,
            "checkpoint": True,
            "registered_time": 3.0,
            "unregistered_time": 0.0,
            "resources": TASK_RESOURCES,
            "roles": ["r"],
            "tasks": [
                {
                    "id": "sim-0",
                    "name": "sim-0",
                    "framework_id": "F0",
                    "executor_id": "",
                    "slave_id": "A0",
                    "state": "TASK_RUNNING",
                    "resources": TASK_RESOURCES,
                    "role": "r",
                    "statuses": [{"state": "TASK_RUNNING", "timestamp": 4.5}],
                    "labels": [{"key": "key0", "value": "value0"}],
                }
            ],
            "unreachable_tasks": [],
            "completed_tasks": [],
            "offers": [],
            "executors": [],
        }
    ],
    "completed_frameworks": [],
    "orphan_tasks": [],
    "unregistered_frameworks": [],
}


class StateCheck(unittest.TestCase):
    def problems(self, change=None):
        state = copy.deepcopy(STATE)
        if change is not None:
            change(state)
        return state_check.check(json.dumps(state), TRUTH, MASTER)

    def assert_seen(self, word, change):
        found = self.problems(change)
        self.assertTrue(any(word in p for p in found), found)

    def test_right_is_right(self):
        self.assertEqual(self.problems(), [])

    def test_missing_unknown_and_disordered_keys(self):
        self.assert_seen("'hostname' is missing", lambda s: s["slaves"][0].pop("hostname"))
        self.assert_seen("does not belong", lambda s: s.update(extra=1))
        self.assert_seen("out of order", lambda s: s.update(version=s.pop("version")))

    def test_types(self):
        self.assert_seen("no double", lambda s: s.update(activated_slaves=1))
        self.assert_seen("no integer", lambda s: s["slaves"][0].update(port=5051.0))
        self.assert_seen("no boolean", lambda s: s["frameworks"][0].update(active=1))
        self.assert_seen("slave", lambda s: s["slaves"][0].update(pid="127.0.0.1:1"))

    def test_values(self):
        task = lambda s: s["frameworks"][0]["tasks"][0]
        self.assert_seen("number of tasks", lambda s: s["frameworks"][0].update(tasks=[]))
        self.assert_seen("TASK_RUNNING", lambda s: task(s).update(state="TASK_STAGING"))
        self.assert_seen("labels", lambda s: task(s).update(labels=[]))
        self.assert_seen("used_resources", lambda s: s["slaves"][0].update(used_resources=ZERO))
        self.assert_seen("resources", lambda s: s["frameworks"][0].update(resources=ZERO))
        self.assert_seen("tasks by agent", lambda s: task(s).update(slave_id="A9"))
        self.assert_seen("exactly one", lambda s: s["frameworks"][0].pop("roles"))

    def test_keys_written_twice(self):
        body = json.dumps(STATE).replace('"build_user"', '"build_user": "", "build_user"', 1)
        self.assertIn("twice", state_check.check(body, TRUTH, MASTER)[0])


if __name__ == "__main__":
    unittest.main()
