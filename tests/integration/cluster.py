"""Real services as processes of this machine, for tests and benchmarks of whole clusters.

Services: single processes, each on a free port, that can be killed, restarted and looked into.
LocalCluster: what `tessera cluster up` starts, by the command line that everybody uses.

Both work in a folder of their own and leave nothing behind. Binaries come from $TESSERA_BIN, from
a test's runfiles, or from bin/ of the tree.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
import xml.sax.saxutils

ROOT = pathlib.Path(__file__).resolve().parents[2]
_IN_RUNFILES = {
    "tessera": "cli/tessera",
    "master-svc": "services/master/master-svc",
    "allocator-svc": "services/allocator/allocator-svc",
    "registry-svc": "services/registry/registry-svc",
    "state-svc": "services/state/state-svc",
    "agent-svc": "services/agent/agent-svc",
    "agent-launcher": "services/agent/launcher/agent-launcher",
}
START_SECONDS = 20


def link_binaries(folder):
    """Puts links to all binaries into `folder`/bin and returns that."""
    bin_dir = pathlib.Path(folder) / "bin"
    bin_dir.mkdir(parents=True, exist_ok=True)
    for name, path in _IN_RUNFILES.items():
        if "TESSERA_BIN" in os.environ:
            source = pathlib.Path(os.environ["TESSERA_BIN"]) / name
        elif pathlib.Path(path).exists():
            source = pathlib.Path(path)
        else:
            source = ROOT / "bin" / name
        if source.exists() and not (bin_dir / name).exists():
            (bin_dir / name).symlink_to(source.resolve())
    return bin_dir


def wait_for(condition, seconds=20, what="the condition", pause=0.05):
    """Polls until `condition()` is true and returns that value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(pause)


def http_get(address, path, timeout=10):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as answer:
        return answer.read().decode()


def metric(text, name, **labels):
    """The value of one sample in an exposition; the sum of all that match; None without any."""
    total, found = 0.0, False
    for line in text.splitlines():
        if line.startswith("#") or not line.startswith(name):
            continue
        head, _, value = line.rpartition(" ")
        if head.partition("{")[0] != name:
            continue
        if all(f'{key}="{wanted}"' in head for key, wanted in labels.items()):
            total, found = total + float(value), True
    return total if found else None


class Service:
    """One process of a service. Restarts keep its addresses.

    `host` is where it listens, `prefix` the words before its command line.
    """

    def __init__(self, name, binary, flags, folder, listen=True, host="127.0.0.1", prefix=()):
        self.name = name
        self.binary = str(binary)
        self.flags = list(flags)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / f"{name}.log"
        self.listen = listen
        self.grpc = self.http = f"{host}:0"
        self.prefix = list(prefix)
        self.process = None

    def start(self):
        argv = [*self.prefix, self.binary, *self.flags]
        if self.listen:
            argv += [f"--listen={self.grpc}", f"--http_listen={self.http}"]
        out_path = self.folder / f"{self.name}.out"
        with open(out_path, "wb") as out, open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for line in out_path.read_text(errors="replace").splitlines():
                if line.startswith("listening "):
                    words = dict(w.split("=", 1) for w in line.split()[1:])
                    self.grpc, self.http = words["grpc"], words["http"]
                    return self
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"{self.name} ended with {self.process.returncode}: {self.last_words()}"
                )
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"{self.name} does not serve: {self.last_words()}")

    def last_words(self):
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def freeze(self):
        """SIGSTOP: its connections stay, and nothing comes of them."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """kill -9."""
        if self.running():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def stop(self):
        """Asks it to end; by force after 10 s. Returns the exit status."""
        if self.running():
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait() if self.process is not None else None

    def metrics(self):
        return http_get(self.http, "/metrics")

    def metric(self, name, **labels):
        """None also while it does not answer."""
        try:
            return metric(self.metrics(), name, **labels)
        except OSError:
            return None

    def cpu_seconds(self):
        """User and system time that it has used."""
        text = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        fields = text[text.rindex(")") + 2 :].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Services:
    """Services started one by one; ended in reverse order at the end of the `with`."""

    def __init__(self, prefix="tessera-services-"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self.folder.chmod(0o755)
        self.bin = link_binaries(self.folder)
        self.services = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for service in reversed(self.services):
            service.stop()
        if exception[0] is not None and "TESSERA_KEEP_LOGS" in os.environ:
            print(f"logs are in {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, binary, *flags, **options):
        """The options are those of Service."""
        service = Service(name, self.bin / binary, flags, self.folder / name, **options)
        self.services.append(service)
        return service.start()

    def registry(self, *flags):
        return self.start(
            "registry", "registry-svc", f"--data_dir={self.folder}/registry/data", *flags
        )

    def allocator(self, *flags):
        return self.start("allocator", "allocator-svc", *flags)

    def master(self, registry, allocator, *flags, name="master", **options):
        return self.start(
            name,
            "master-svc",
            f"--registry={registry.grpc}",
            f"--allocator={allocator.grpc}",
            *flags,
            **options,
        )

    def state(self, *feeds, flags=(), name="state"):
        return self.start(name, "state-svc", "--feed=" + ",".join(f.grpc for f in feeds), *flags)

    def agent(
        self,
        *masters,
        name="agent-1",
        resources="cpus:2;mem:1024;disk:1024",
        flags=(),
        **options,
    ):
        home = self.folder / name
        return self.start(
            name,
            "agent-svc",
            "--master=" + ",".join(m.grpc for m in masters),
            f"--work_dir={home}/work",
            f"--runtime_dir={home}/run",
            f"--hostname={name}",
            f"--resources={resources}",
            f"--launcher={(self.bin / 'agent-launcher').resolve()}",
            *flags,
            **options,
        )


def flags_of(help_text):
    """Default and description of each flag that a --help lists."""
    flags = {}
    name = None
    for line in help_text.splitlines():
        head = re.fullmatch(r"  --(?:\[no\])?(\w+)(?:  \(default: (.*)\))?", line)
        if head:
            name = head.group(1)
            flags[name] = (head.group(2), "")
        elif name and line.startswith("      "):
            default, what = flags[name]
            flags[name] = (default, f"{what} {line.strip()}".strip())
        else:
            name = None
    return flags


class LocalCluster:
    """A cluster of `tessera cluster up`; taken down at the end of the `with`."""

    def __init__(self, agents=1, resources="cpus:2;mem:1024;disk:1024", service_flags=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-cluster-"))
        self.folder.chmod(0o755)
        self.bin = link_binaries(self.folder)
        self.dir = self.folder / "cluster"
        self.agents = agents
        self.resources = resources
        launcher = (self.bin / "agent-launcher").resolve()
        self.service_flags = [f"agent:--launcher={launcher}", *service_flags]
        self.down_done = False

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exception):
        if not self.down_done:
            services = self.services()
            self.tessera("cluster", "down", "--timeout=10s", timeout=90)
            for service in services.values():
                _kill_if_runs(service["pid"], str(self.folder))
        if exception[0] is not None and "TESSERA_KEEP_LOGS" in os.environ:
            print(f"logs are in {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def up(self):
        result = self.tessera(
            "cluster",
            "up",
            f"--bin_dir={self.bin}",
            f"--agents={self.agents}",
            f"--agent_resources={self.resources}",
            "--service_flag=" + ",".join(self.service_flags),
        )
        if result.returncode != 0:
            raise RuntimeError(f"cluster up: {result.stderr.strip()}")
        return result

    def down(self, environment=None):
        self.down_done = True
        return self.tessera("cluster", "down", "--purge", timeout=90, environment=environment)

    def tessera(self, *arguments, timeout=60, environment=None):
        """Runs the command line; returns status, stdout and stderr."""
        return subprocess.run(
            self.argv(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(environment or {})},
        )

    def argv(self, *arguments):
        words = 1
        if arguments[0] in ("cluster", "maintenance", "quota"):
            words = 3 if arguments[1] == "schedule" else 2
        return [
            str(self.bin / "tessera"),
            *arguments[:words],
            f"--cluster_dir={self.dir}",
            *arguments[words:],
        ]

    def json(self, *arguments):
        result = self.tessera(*arguments, "--output=json")
        if result.returncode != 0:
            raise RuntimeError(f"tessera {' '.join(arguments)}: {result.stderr.strip()}")
        return json.loads(result.stdout)

    def services(self):
        """What cluster.json says, by name."""
        try:
            record = json.loads((self.dir / "cluster.json").read_text())
        except (OSError, ValueError):
            return {}
        return {s["name"]: s for s in record["services"]}

    def address(self, service, kind="grpc"):
        return self.services()[service][kind]

    def kill(self, service):
        """kill -9; the supervisor starts it again."""
        os.kill(self.services()[service]["pid"], signal.SIGKILL)

    def await_agents(self, count=None, seconds=20):
        count = self.agents if count is None else count

        def connected():
            result = self.tessera("agents", "--output=json")
            if result.returncode != 0:
                return False
            states = [a["agent"]["state"] for a in json.loads(result.stdout)]
            return states.count("AGENT_STATE_CONNECTED") >= count

        wait_for(connected, seconds, f"{count} connected agents", pause=0.2)


def _kill_if_runs(pid, word):
    """Ends a process of ours that is left, known by a word of its command line."""
    try:
        if pid > 0 and word in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def leftovers(folder):
    """Processes and mounts that name the folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line:
            found.append(f"process {entry.name}: {line[:100]!r}")
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return found + [f"mount {m.split()[1]}" for m in mounts if str(folder) in m]


def cgroups_of_agent(work_dir):
    """The cgroups of the agent with this --work_dir, in every hierarchy."""
    name = 0xCBF29CE484222325  # FNV-1a, as agent-svc names its root
    for byte in str(work_dir).encode():
        name = (name ^ byte) * 0x100000001B3 % 2**64
    hierarchies = pathlib.Path("/sys/fs/cgroup")
    return [str(p) for p in hierarchies.glob(f"**/tessera/agent-{name:016x}")]


def make_stubs(folder):
    """Makes the Python modules of the contracts and puts them on the module path."""
    out = pathlib.Path(folder) / "stubs"
    subprocess.run(
        [ROOT / "sdk/examples/python/generate_stubs.sh", str(out)], check=True, capture_output=True
    )
    sys.path.insert(0, str(out))
    return out


def needs_root(test_class):
    return unittest.skipIf(os.geteuid() != 0, "containers need root")(test_class)


class _Recorder(unittest.TextTestResult):
    """Keeps each case's outcome for the report that the test runner reads."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cases = []
        self.began = 0.0

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def _record(self, test, kind=None, text=""):
        self.cases.append((test.id(), time.monotonic() - self.began, kind, text))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._record(test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._record(test, "failure", self._exc_info_to_string(error, test))

    def addError(self, test, error):
        super().addError(test, error)
        self._record(test, "error", self._exc_info_to_string(error, test))

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._record(subtest, "failure", self._exc_info_to_string(error, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._record(test, "skipped", reason)


def main():
    """unittest.main() that writes the test.xml which Bazel asks for."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    if len(sys.argv) > 1:
        suite = unittest.defaultTestLoader.loadTestsFromNames(
            sys.argv[1:], sys.modules["__main__"]
        )
    result = unittest.TextTestRunner(verbosity=2, resultclass=_Recorder).run(suite)
    if "XML_OUTPUT_FILE" in os.environ:
        with open(os.environ["XML_OUTPUT_FILE"], "w", encoding="utf-8") as out:
            out.write(f'<testsuite name="integration" tests="{len(result.cases)}">\n')
            for name, seconds, kind, text in result.cases:
                quoted = xml.sax.saxutils.quoteattr(name)
                out.write(f'<testcase name={quoted} time="{seconds:.3f}">')
                if kind is not None:
                    out.write(f"<{kind} message={xml.sax.saxutils.quoteattr(text)}/>")
                out.write("</testcase>\n")
            out.write("</testsuite>\n")
    sys.exit(0 if result.wasSuccessful() else 1)
