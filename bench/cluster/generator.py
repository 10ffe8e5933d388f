"""The load generator as a process that obeys, and what every benchmark of a cluster needs."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import cluster  # noqa: E402  pylint: disable=wrong-import-position

MARGIN_S = 30  # an answer may take this much longer than the time that its command names


def build(*targets):
    """Builds programs of bench/cluster; returns their folder."""
    bazel = os.environ.get("BAZEL", "bazel").split()
    labels = [f"//bench/cluster:{t}" for t in targets]
    quiet = ["--noshow_progress", "--show_result=0", "--ui_event_filters=-info"]
    subprocess.run([*bazel, "build", *quiet, *labels], cwd=ROOT, check=True)
    out = subprocess.run(
        [*bazel, "info", "bazel-bin"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return pathlib.Path(out.stdout.strip()) / "bench" / "cluster"


def figure(name, value, unit):
    print(f"figure {name} {value:.6g} {unit}", flush=True)


def say(text):
    print(f"# {text}", flush=True)


def raise_file_limit():
    """As many open files as this machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class LoadGenerator:
    """One process of load_generator."""

    def __init__(self, folder, masters, log, **flags):
        argv = [str(folder / "load_generator"), "--master=" + ",".join(m.grpc for m in masters)]
        argv += [f"--{name}={value}" for name, value in flags.items()]
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def send(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"load_generator ended; its log is {self.log.name}")
        return json.loads(line)

    def ask(self, *words):
        """Sends a command and returns its answer; a failure ends the benchmark."""
        self.send(*words)
        answer = self.answer()
        if not answer.get("ok"):
            raise RuntimeError(f"load_generator: {' '.join(map(str, words))}: {answer}")
        return answer


class CpuMeter:
    """Processor time of services over a stretch of time."""

    def __init__(self, **services):
        self.services = services
        self.restart()

    def restart(self):
        self.began = time.monotonic()
        self.before = {n: s.cpu_seconds() for n, s in self.services.items()}

    def used(self):
        """Seconds of processor time in a second of time, by name."""
        took = time.monotonic() - self.began
        return {n: (s.cpu_seconds() - self.before[n]) / took for n, s in self.services.items()}
