#!/usr/bin/python3
"""The deployment on a real systemd with cgroup v2: boots a virtual machine, has it install what
deploy/README.md says and run deployment_checks.py, and passes on how each check ended."""

import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import xml.etree.ElementTree
import xml.sax.saxutils

HERE = pathlib.Path(__file__).parent
# Imports are found beside the script, not beside what its links point to.
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import cluster
import machine

ROOT = HERE.parents[1]
# Many times what a quiet machine of two cores takes.
SECONDS = 800
KEPT_LINES = 150


def fill_exchange(folder):
    """A tree as after `make build`, and what checks it."""
    for part in ("bin", "deploy", "tests/vm", "tests/integration", "out"):
        (folder / part).mkdir(parents=True)
    for name in cluster.link_binaries(folder / "links").iterdir():
        shutil.copy(name, folder / "bin")
    shutil.copytree(ROOT / "deploy", folder / "deploy", dirs_exist_ok=True)
    shutil.copy(ROOT / "README.md", folder)
    for name in HERE.glob("*_checks.py"):
        shutil.copy(name, folder / "tests/vm")
    shutil.copy(ROOT / "tests/integration/cluster.py", folder / "tests/integration")
    shutil.copy(HERE / "checks.service", folder)
    # Tests of the agent that a kernel with cgroup v2 alone has to pass, too; there under Bazel.
    agent = pathlib.Path("services/agent")
    for name in (agent / "launcher/agent-launcher", *(ROOT / agent / "runtime").glob("*_test")):
        if (ROOT / name).exists():
            target = folder / agent / name.parent.name / name.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)


def last_lines(title, text):
    lines = text.splitlines()
    print(f"--- {title} (the last {min(KEPT_LINES, len(lines))} of {len(lines)} lines)")
    print("\n".join(lines[-KEPT_LINES:]))


def text_of(path):
    return path.read_text(errors="replace") if path.exists() else ""


def report(xml_text):
    """Gives the result to Bazel, where it runs this."""
    if "XML_OUTPUT_FILE" in os.environ:
        pathlib.Path(os.environ["XML_OUTPUT_FILE"]).write_text(xml_text)


def run_in_machine(exchange):
    """Returns how the checks ended, as test.xml; "" when the machine did not get that far."""
    with machine.Machine(exchange) as vm:
        in_time = vm.wait(SECONDS)
        xml_text = text_of(exchange / "out/test.xml")
        print(text_of(exchange / "out/log"))
        failed = not xml_text or re.search("<(failure|error)", xml_text)
        if failed:
            last_lines("console", vm.console())
            last_lines("journal", text_of(exchange / "out/journal"))
            last_lines("qemu and file servers", vm.complaints())
        if not in_time:
            print(f"the machine was not done after {SECONDS} s")
            return ""
    return xml_text


def main():
    reason = machine.why_not()
    if reason:
        print(f"SKIPPED: {reason}")
        report(
            '<testsuite name="systemd"><testcase name="deployment">'
            f"<skipped message={xml.sax.saxutils.quoteattr(reason)}/></testcase></testsuite>"
        )
        return 0
    # A test that is called off takes its machine along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("called off"))
    with tempfile.TemporaryDirectory(prefix="tessera-exchange-") as folder:
        exchange = pathlib.Path(folder)
        fill_exchange(exchange)
        xml_text = run_in_machine(exchange)
    if not xml_text:
        print("FAILED: the checks did not come to their end")
        return 1
    report(xml_text)
    cases = xml.etree.ElementTree.fromstring(xml_text)
    bad = [c for c in cases.iter("testcase") if len(c) > 0 and c[0].tag != "skipped"]
    return 1 if bad or not len(cases) else 0


if __name__ == "__main__":
    sys.exit(main())
