"""Checks of a deployment, inside the virtual machine: its root is ours to change, the tree is /mnt.

Installs by the steps of deploy/README.md, so that the page cannot go wrong unseen.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/integration"))

import cluster

SERVICES = ("registry", "allocator", "master", "state", "agent")
UNITS = [f"tessera-{service}.service" for service in SERVICES]
CGROUPS = pathlib.Path("/sys/fs/cgroup")
CONTAINERS = CGROUPS / "tessera"
AGENT_HTTP = "127.0.0.1:5091"
STATE_HTTP = "127.0.0.1:5081"
MIB = 1 << 20
# Containers that the agent keeps ready.
PARKED = 2
# Everything is slow here: the cpu is emulated.
SECONDS = 120


def sh(*command, check=True, **options):
    """Runs a command; returns what it printed."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{' '.join(command)}: not done; said {error.output}{error.stderr}")
    if check and result.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
        )
    return result.stdout


def steps(heading):
    """The commands below a heading of deploy/README.md."""
    text = (TREE / "deploy/README.md").read_text()
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    commands = re.findall(r"^    (.*)$", section.group(1), re.M)
    assert commands, f"deploy/README.md has no commands below '{heading}'"
    return "\n".join(commands)


def run_steps(heading):
    """Runs them as a person would who has built already; returns what they printed."""
    return sh("bash", "-euxc", steps(heading).replace("make build", "true"), cwd=TREE)


def show(unit, name):
    return sh("systemctl", "show", "--property", name, "--value", unit).strip()


def main_pid(service):
    return int(show(f"tessera-{service}", "MainPID"))


def process_facts(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def cgroup_of(pid):
    """The directory of a process's cgroup; there is the v2 hierarchy only."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert len(lines) == 1 and lines[0].startswith("0::/"), lines
    return CGROUPS / lines[0].removeprefix("0::/")


def value(cgroup, name):
    return (cgroup / name).read_text().strip()


def containers():
    """Running containers of the agent by task name; none while it does not answer."""
    try:
        listed = json.loads(cluster.http_get(AGENT_HTTP, "/containers"))
    except OSError:
        return {}
    return {c["executor_name"]: c for c in listed if "executor_pid" in c["status"]}


def connected_agents():
    """Host names of the agents that the state view shows as connected."""
    try:
        agents = json.loads(cluster.http_get(STATE_HTTP, "/slaves"))["slaves"]
    except OSError:
        return []
    return [agent["hostname"] for agent in agents if agent["active"]]


def await_agent(name="node"):
    cluster.wait_for(lambda: name in connected_agents(), SECONDS, f"agent {name}", pause=0.3)


class Job:
    """A run of `tessera run` in the background."""

    def __init__(self, test, name, tasks, **defaults):
        self.tasks = tasks
        self.report = pathlib.Path(f"/tmp/{name}.report")
        job = {
            "name": name,
            "defaults": {"cpus": 0.1, "mem": 32, **defaults},
            "tasks": [{"name": n, "command": c} for n, c in tasks.items()],
        }
        path = pathlib.Path(f"/tmp/{name}.json")
        path.write_text(json.dumps(job))
        self.process = subprocess.Popen(
            ["tessera", "run", f"--job={path}", f"--report={self.report}", "--attempts=1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        test.addCleanup(self._end)

    def _end(self):
        self.process.kill()
        self.process.communicate()

    def await_containers(self):
        """The processes of the tasks' containers (their inits), once all run."""

        def all_run():
            assert self.process.poll() is None, self.process.communicate()[0]
            there = containers()
            return all(name in there for name in self.tasks) and there

        there = cluster.wait_for(all_run, SECONDS, "the start of every task", pause=0.2)
        return {name: there[name]["status"]["executor_pid"] for name in self.tasks}

    def results(self):
        """What became of each task."""
        output, _ = self.process.communicate(timeout=SECONDS)
        assert self.report.exists(), output
        return {t["name"]: t for t in json.loads(self.report.read_text())["tasks"]}

    def exit_codes(self):
        results = self.results()
        for task in results.values():
            assert "wait_status" in task and task["attempts"] == 1, task
            assert task["terminal_updates"] == 1, task
        return {n: os.waitstatus_to_exitcode(t["wait_status"]) for n, t in results.items()}


def until(path):
    """A shell line that waits for a file, which a container's root shows as the host's."""
    return f"until test -e {path}; do sleep 0.2; done"


class BeforeUnits(unittest.TestCase):
    """Runs first, while no unit has made systemd enable the controllers that containers need."""

    # What depends on the kind of cgroups. The others run as fast as the machine, which this is not.
    TESTS = {
        "cgroup_tree_test": "*",
        "linux_container_runtime_test": "LinuxContainerRuntimeTest.*",
        "linux_recovery_test": "*-*DeathInTheMiddleOfLaunches",
    }

    def test_the_runtimes_tests_pass_on_v2(self):
        self.assertNotIn("cpu", value(CGROUPS, "cgroup.subtree_control").split())
        # Theirs is not the report that counts.
        environment = {k: v for k, v in os.environ.items() if k != "XML_OUTPUT_FILE"}
        for name, chosen in self.TESTS.items():
            with self.subTest(name):
                # They look for the launcher where Bazel puts it, and make folders in /tmp.
                path = TREE / "services/agent/runtime" / name
                if not path.exists():
                    self.skipTest("Bazel has built no tests for this run")
                sh(str(path), "--gtest_brief=1", f"--gtest_filter={chosen}",
                   cwd=TREE, env=environment)


class Deployment(unittest.TestCase):
    """Each check starts and ends with every unit active and no container."""

    @classmethod
    def setUpClass(cls):
        pathlib.Path("/etc/default/tessera-agent").write_text(
            f"TESSERA_FLAGS=--limit_cpu_to_request --parked_containers={PARKED}\n"
        )
        os.environ["TESSERA_MASTER"] = "127.0.0.1:5050"
        os.environ["TESSERA_STATE"] = "127.0.0.1:5080"
        output = run_steps("One machine")
        # The page's first task ran: its last command names the machine.
        assert "node" in output.splitlines(), output
        await_agent()

    def tearDown(self):
        cluster.wait_for(lambda: not containers(), SECONDS, "the end of every container")

    def test_every_unit_is_active_and_enabled(self):
        for unit in UNITS:
            with self.subTest(unit):
                self.assertEqual(show(unit, "ActiveState"), "active")
                self.assertEqual(show(unit, "SubState"), "running")
                self.assertEqual(show(unit, "Type"), "notify")
                self.assertIn("serving", show(unit, "StatusText"))
                self.assertEqual(sh("systemctl", "is-enabled", unit), "enabled\n")
        self.assertEqual(sh("systemctl", "--failed", "--no-legend"), "")

    def test_the_units_hold_what_they_promise(self):
        for service in SERVICES:
            with self.subTest(service):
                facts = process_facts(main_pid(service))
                if service == "agent":
                    self.assertEqual(facts["Uid"].split()[1], "0")
                    continue
                self.assertNotEqual(facts["Uid"].split()[1], "0")
                self.assertEqual(int(facts["CapEff"], 16), 0)
                self.assertEqual(int(facts["CapBnd"], 16), 0)
                self.assertEqual(facts["NoNewPrivs"], "1")
                self.assertEqual(facts["Seccomp"], "2")

    def test_everything_is_where_the_page_says(self):
        data = pathlib.Path("/var/lib/tessera/registry")
        self.assertEqual(data.resolve(), pathlib.Path("/var/lib/private/tessera/registry"))
        self.assertEqual(data.stat().st_mode & 0o777, 0o700)
        uid = int(process_facts(main_pid("registry"))["Uid"].split()[1])
        self.assertEqual(data.stat().st_uid, uid)
        for folder in ("/var/lib/tessera/agent/sandboxes", "/run/tessera/agent/containers"):
            self.assertEqual(os.stat(folder).st_uid, 0)
        self.assertEqual(len(list(CONTAINERS.glob("agent-*/c[0-9]*"))), PARKED)
        for service in SERVICES:
            self.assertIn(f"tessera-{service}.service", str(cgroup_of(main_pid(service))))

    def test_systemd_finds_no_fault_with_the_units(self):
        paths = [f"/etc/systemd/system/{unit}" for unit in UNITS]
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--recursive-errors=no", *paths],
            capture_output=True,
            text=True,
        )
        self.assertEqual((verified.returncode, verified.stdout + verified.stderr), (0, ""))
        for unit in UNITS:
            if unit != "tessera-agent.service":
                sh("systemd-analyze", "security", "--no-pager", "--threshold=20", unit)

    def test_containers_have_the_limits_of_their_tasks(self):
        job = Job(
            self,
            "limits",
            {
                "busy": f"({until('/tmp/limits-end')}; kill -TERM $$) & while :; do :; done",
                "idle-1": until("/tmp/limits-end"),
                "idle-2": until("/tmp/limits-end"),
            },
            cpus=0.3,
            mem=48,
        )
        self.addCleanup(pathlib.Path("/tmp/limits-end").touch)
        pids = job.await_containers()
        cgroups = {name: cgroup_of(pid) for name, pid in pids.items()}
        self.assertEqual(len(set(cgroups.values())), 3)

        def assert_limited():
            for cgroup in cgroups.values():
                self.assertEqual(cgroup.parents[1], CONTAINERS)
                self.assertEqual(value(cgroup, "memory.max"), str(48 * MIB))
                self.assertEqual(value(cgroup, "memory.oom.group"), "1")
                self.assertEqual(value(cgroup, "cpu.max"), "30000 100000")
                self.assertEqual(value(cgroup, "cpu.weight"), "30")

        assert_limited()
        cluster.wait_for(
            lambda: containers()["busy"]["statistics"].get("cpus_nr_throttled", 0) > 2,
            SECONDS,
            "throttling",
        )
        usage = containers()["busy"]["statistics"]
        self.assertEqual(usage["mem_limit_bytes"], 48 * MIB)
        self.assertGreater(usage["cpus_user_time_secs"], 0)
        self.assertGreater(usage["mem_total_bytes"], 0)
        # systemd keeps its hands off cgroups that are not its own.
        sh("systemctl", "daemon-reload")
        sh("systemctl", "daemon-reexec")
        assert_limited()

        pathlib.Path("/tmp/limits-end").touch()
        self.assertEqual(job.exit_codes(), {"busy": -signal.SIGTERM, "idle-1": 0, "idle-2": 0})
        for cgroup in cgroups.values():
            cluster.wait_for(lambda c=cgroup: not c.exists(), SECONDS, f"the end of {cgroup}")

    def test_a_task_out_of_memory_is_told_as_such(self):
        job = Job(self, "oom", {"greedy": "exec tail /dev/zero", "modest": "true"})
        tasks = job.results()
        self.assertEqual(tasks["modest"]["state"], "TASK_FINISHED", tasks)
        greedy = tasks["greedy"]
        self.assertEqual(greedy["state"], "TASK_FAILED", greedy)
        self.assertRegex(greedy["message"], "memory limit exceeded: requested 32 MB")
        self.assertIn(
            "REASON_CONTAINER_LIMITATION_MEMORY", sh("tessera", "tasks", "--all", "--output=json")
        )

    def survives(self, name, disturb):
        """Disturbs a service while tasks run: one that ends meanwhile, and one afterwards."""
        ends = [pathlib.Path(f"/tmp/{name}-{part}") for part in ("meanwhile", "afterwards")]
        job = Job(
            self,
            name,
            {"meanwhile": f"{until(ends[0])}; exit 7", "afterwards": f"{until(ends[1])}; exit 9"},
        )
        for end in ends:
            self.addCleanup(end.touch)
        pids = job.await_containers()
        born = {pid: os.stat(f"/proc/{pid}").st_ctime_ns for pid in pids.values()}
        disturb(ends[0].touch)
        self.assertEqual(os.stat(f"/proc/{pids['afterwards']}").st_ctime_ns,
                         born[pids["afterwards"]])
        await_agent()
        self.assertIn("afterwards", containers())
        self.assertEqual(value(cgroup_of(pids["afterwards"]), "memory.max"), str(32 * MIB))
        ends[1].touch()
        self.assertEqual(job.exit_codes(), {"meanwhile": 7, "afterwards": 9})

    def test_containers_outlive_kill_9_of_the_whole_unit(self):
        def kill(end_one):
            before = main_pid("agent")
            restarts = int(show("tessera-agent", "NRestarts"))
            sh("systemctl", "kill", "--kill-whom=all", "--signal=KILL", "tessera-agent")
            end_one()
            cluster.wait_for(
                lambda: show("tessera-agent", "ActiveState") == "active"
                and main_pid("agent") not in (0, before),
                SECONDS,
                "the agent's restart by systemd",
            )
            self.assertEqual(int(show("tessera-agent", "NRestarts")), restarts + 1)

        self.survives("kill", kill)

    def test_containers_outlive_a_stop_of_the_agent(self):
        def stop_and_start(end_one):
            sh("systemctl", "stop", "tessera-agent")
            self.assertEqual(show("tessera-agent", "Result"), "success")
            end_one()
            time.sleep(1)
            sh("systemctl", "start", "tessera-agent")

        self.survives("stop", stop_and_start)

    def test_an_upgrade_restarts_every_service_and_keeps_tasks(self):
        before = {service: main_pid(service) for service in SERVICES}

        def upgrade(end_one):
            run_steps("Upgrade")
            end_one()

        self.survives("upgrade", upgrade)
        after = {service: main_pid(service) for service in SERVICES}
        for service in SERVICES:
            self.assertNotEqual(before[service], after[service], service)


class SeveralMachines(unittest.TestCase):
    """A second machine, as far as the network goes: an agent in a network namespace."""

    def test_an_agent_elsewhere_runs_tasks_and_shows_their_output(self):
        self.addCleanup(sh, "ip", "netns", "delete", "second")
        for command in (
            "netns add second",
            "link add to-second type veth peer name eth0 netns second",
            "address add 10.77.0.1/24 dev to-second",
            "link set to-second up",
            "-n second address add 10.77.0.2/24 dev eth0",
            "-n second link set eth0 up",
            "-n second link set lo up",
        ):
            sh("ip", *command.split())
        unit = pathlib.Path("/etc/systemd/system/tessera-agent.service").read_text()
        unit = unit.replace("tessera/agent\n", "tessera/second\n")
        unit = unit.replace("/etc/default/tessera-agent", "/etc/default/tessera-second")
        unit = unit.replace("[Service]\n", "[Service]\nNetworkNamespacePath=/run/netns/second\n")
        pathlib.Path("/etc/systemd/system/tessera-second.service").write_text(unit)
        pathlib.Path("/etc/default/tessera-second").write_text(
            "TESSERA_FLAGS=--master=10.77.0.1:5050 --listen=0.0.0.0:5090"
            " --advertise=10.77.0.2:5090 --hostname=second --resources=cpus:8;mem:256"
            " --work_dir=/var/lib/tessera/second --runtime_dir=/run/tessera/second\n"
        )
        sh("systemctl", "daemon-reload")
        sh("systemctl", "start", "tessera-second")
        self.addCleanup(sh, "systemctl", "stop", "tessera-second")
        await_agent("second")
        # More cpus than the first machine has.
        output = sh("tessera", "run", "--cpus=6", "ip -o -4 address show dev eth0")
        self.assertIn("10.77.0.2/24", output)


class Uninstalling(unittest.TestCase):
    """Runs after all others."""

    def setUp(self):
        self.commands = steps("Removal").splitlines()

    def test_1_stopping_ends_cleanly_and_leaves_nothing(self):
        sh("bash", "-euxc", self.commands[0])
        for unit in UNITS:
            self.assertEqual(show(unit, "ActiveState"), "inactive", unit)
        self.assertFalse(CONTAINERS.exists(), sh("find", str(CONTAINERS), check=False))
        with contextlib.suppress(FileNotFoundError):
            left = CGROUPS / "system.slice/tessera-agent.service/cgroup.procs"
            self.assertEqual(left.read_text(), "")
        names = [p.read_text() for p in pathlib.Path("/proc").glob("[0-9]*/comm")]
        self.assertEqual([n for n in names if re.match("tessera|.*-svc", n)], [])

        # Units that are stopped and disabled are forgotten; the journal is not.
        lines = sh("journalctl", "--boot", "--no-pager", "--output=cat",
                   *(f"--unit={unit}" for unit in UNITS)).splitlines()
        ends = [max(i for i, line in enumerate(lines) if line.startswith(f"Stopped {unit}"))
                for unit in UNITS]
        # The registry is there for the master to give its leadership back to.
        self.assertLess(ends[SERVICES.index("master")], ends[SERVICES.index("registry")])
        for unit, end in zip(UNITS, ends):
            last = max(i for i, line in enumerate(lines) if line.startswith(f"Starting {unit}"))
            clean = f"{unit}: Deactivated successfully."
            self.assertIn(clean, lines[last:end], "ends with exit code 0, not by force")
        # kill -9 is all that it may tell of, and no error of our own.
        killed = (
            "tessera-agent.service: (Main process exited, code=killed|Failed with result 'signal')"
        )
        for line in lines:
            ours = re.match(r"[IWEF]\d{8} ", line)
            if ours:
                self.assertIn(line[0], "IW", line)
            elif not re.match(killed, line):
                self.assertNotRegex(line, r"\*\*\*|[Ff]ail|left-over|[Ii]gnoring|[Uu]nknown|denied")

    def test_2_the_rest_goes_too(self):
        sh("bash", "-euxc", "\n".join(self.commands[1:]))
        for folder in ("/usr/lib", "/etc", "/etc/systemd/system", "/var/lib", "/var/lib/private",
                       "/run", "/usr/bin", "/usr/share/doc"):
            left = [p.name for p in pathlib.Path(folder).glob("tessera*")]
            self.assertEqual(left, [], folder)


if __name__ == "__main__":
    cluster.main()
