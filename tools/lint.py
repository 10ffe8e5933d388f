#!/usr/bin/python3
"""The house rules that a machine can check. Prints each break and exits with 1 if there is any.

  lint.py            every file that git tracks
  lint.py --changed  of rules about one file, only those that differ from the last commit
  lint.py --tighten  lowers what house_rules/allowed/ allows to what is left
  lint.py --rooms    prints the rooms, floors and arrows of the includes (--dot: for graphviz)
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

import core_pages
from house_rules import (allowances, build_files, cc_source, class_bounds, comment_lines,
                         core_text, dead_code, imports, visits)

ROOT = pathlib.Path(__file__).resolve().parent.parent

BANNED_NAMES = {"common", "util", "utils", "helper", "helpers", "misc", "manager", "managers"}
CODE_SUFFIXES = {".h", ".cc", ".proto", ".py", ".sh", ".bzl", ".bazel", ".js", ".css"}
MOST_COLUMNS = 100
MOST_CC_LINES = 800
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
SERVICES = ("registry", "allocator", "master", "state", "agent")
MOST_README_LINES = 40


def git_files(root, changed):
    command = ["git", "diff", "--name-only", "HEAD"] if changed else ["git", "ls-files"]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    if changed:
        out += subprocess.run(["git", "ls-files", "--others", "--exclude-standard"], cwd=root,
                              check=True, capture_output=True, text=True).stdout
    return [f for f in sorted(set(out.splitlines())) if (root / f).is_file()]


def name_breaks(files):
    """Folders and files whose name says nothing."""
    for file in files:
        for part in pathlib.PurePath(file).parts:
            words = re.split(r"[._-]", part)
            if words[0] in BANNED_NAMES or (len(words) > 1 and words[-2] in BANNED_NAMES):
                yield f"{file}: the name '{part}' says nothing; use a noun of the field"


def is_code(file, text):
    path = pathlib.PurePath(file)
    return path.suffix in CODE_SUFFIXES or path.name == "Makefile" or text.startswith("#!")


def text_breaks(file, text):
    """Long lines and files, unfinished work, tabs and blanks at line ends."""
    if not is_code(file, text):
        return
    for number, line in enumerate(text.split("\n"), 1):
        # A line that is one long word (an address, an include) cannot be broken.
        if len(line) > MOST_COLUMNS and len(line.split()) > 2:
            yield f"{file}:{number}: {len(line)} columns (at most {MOST_COLUMNS})"
        if UNFINISHED.search(line):
            yield f"{file}:{number}: finish it, or write an issue"
        if line != line.rstrip():
            yield f"{file}:{number}: blanks at the end of the line"
    if file.endswith((".h", ".cc")) and text.count("\n") > MOST_CC_LINES:
        yield f"{file}: {text.count(chr(10))} lines (at most {MOST_CC_LINES}); split it by story"
    if file.endswith(".h") and "\n#pragma once\n" not in "\n" + text:
        yield f"{file}: no #pragma once"
    if file.endswith(".h") and not text.startswith("//"):
        yield f"{file}: a header opens with what it is"


def format_breaks(root, files):
    """C++ files and contracts that clang-format would change."""
    sources = [f for f in files if f.endswith((".h", ".cc", ".proto"))]
    chunks = [sources[i:i + 40] for i in range(0, len(sources), 40)]

    def run(chunk):
        out = subprocess.run(["clang-format-14", "--dry-run", *chunk], cwd=root,
                             capture_output=True, text=True).stderr
        return sorted({m.group(1) for m in re.finditer(r"^([^:\s]+):\d+:\d+: ", out, re.M)})

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for badly in pool.map(run, chunks):
            for file in badly:
                yield f"{file}: not formatted; run `make fmt`"


def service_breaks(root):
    """Every service has the same inside."""
    for service in SERVICES:
        folder = root / "services" / service
        for part in ("README.md", "core", "server", "main.cc"):
            if not (folder / part).exists():
                yield f"services/{service}/{part} is missing"
        readme = folder / "README.md"
        if readme.exists() and len(readme.read_text().splitlines()) > MOST_README_LINES:
            yield f"services/{service}/README.md: more than {MOST_README_LINES} lines"


def purity_breaks(root):
    """Cores with a path to gRPC, found by Bazel."""
    cores = sorted(f"{p.parent.relative_to(root)}/core"
                   for folder in ("services", "sdk") for p in (root / folder).glob("*/core"))
    bazel = os.environ.get("BAZEL", "bazel").split()
    for core in cores:
        query = f"somepath(//{core}/..., @system_libs//:grpcxx)"
        result = subprocess.run([*bazel, "query", "--noshow_progress", query], cwd=root,
                                capture_output=True, text=True)
        if result.returncode != 0:
            yield f"{core}: bazel query failed:\n{result.stderr.strip()}"
        elif result.stdout.strip():
            path = " -> ".join(result.stdout.split())
            yield f"{core} is not pure: {path}"


def shell_breaks(root, files):
    scripts = [f for f in files if (root / f).read_bytes()[:20].startswith(b"#!/bin/bash")]
    for script in scripts:
        result = subprocess.run(["bash", "-n", script], cwd=root, capture_output=True, text=True)
        if result.returncode != 0:
            yield f"{script}: {result.stderr.strip()}"


class Tree:
    """What git tracks, read once for the rules that look at everything."""

    def __init__(self, root):
        self.files = git_files(root, False)
        self.texts = {}
        for file in self.files:
            text = read_text(root / file)
            if text is not None:
                self.texts[file] = text
        self.sources = [cc_source.Source(file, text) for file, text in self.texts.items()
                        if file.endswith((".h", ".cc")) and not file.startswith("third_party/")]
        self.builds = build_files.BuildFiles(
            {file: text for file, text in self.texts.items()
             if file.endswith("BUILD.bazel") and not file.startswith("third_party/")})

    def findings(self):
        """Name of the list in house_rules/allowed/ -> findings of the rule."""
        test_only = self.builds.test_only
        return {
            "class_bounds": list(class_bounds.findings(self.sources)),
            "comment_lines": allowances.by_subject(
                (file, f"{file}:{number}: {why}") for file, text in self.texts.items()
                if file.endswith((".h", ".cc", ".proto"))
                for number, why in comment_lines.breaks_of(text)),
            "core_text": allowances.by_subject(core_text.pairs(self.sources, test_only)),
            "dead_code": list(dead_code.findings(self.files, self.texts, self.sources,
                                                 self.builds)),
            "imports": list(imports.findings(self.sources, test_only)),
            "visits": allowances.by_subject(visits.pairs(self.sources, test_only)),
        }


def tree_breaks(tree):
    """What the rules in house_rules/ find and their lists do not allow."""
    for name, findings in tree.findings().items():
        yield from allowances.judge(name, findings)
    for file, text in tree.texts.items():
        if file.endswith("BUILD.bazel") and \
                re.match(r"(services|cli)/(?!\w+/client/)", file) and \
                "//visibility:public" in text:
            yield f"{file}: public to everybody; tools/build_defs.bzl says who may see a package"


def read_text(path):
    """The file's text, None when it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def all_breaks(root, changed):
    files = git_files(root, changed)
    tree = Tree(root)
    yield from name_breaks(tree.files)
    for file in files:
        text = read_text(root / file)
        if text is not None:
            yield from text_breaks(file, text)
    yield from format_breaks(root, files)
    yield from shell_breaks(root, files)
    yield from tree_breaks(tree)
    yield from core_pages.stale(tree.sources, root)
    yield from service_breaks(root)
    yield from purity_breaks(root)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changed", action="store_true", help="only what is not committed yet")
    parser.add_argument("--tighten", action="store_true", help="lower the lists of exceptions")
    parser.add_argument("--rooms", action="store_true", help="print who includes whom")
    parser.add_argument("--dot", action="store_true", help="with --rooms: for graphviz")
    options = parser.parse_args(arguments)
    if options.rooms or options.tighten:
        tree = Tree(ROOT)
        if options.rooms:
            draw = imports.dot if options.dot else imports.drawing
            print(draw(tree.sources, tree.builds.test_only))
        else:
            for name, findings in tree.findings().items():
                allowances.tighten(name, findings)
        return 0
    breaks = list(all_breaks(ROOT, options.changed))
    for line in breaks:
        print(line)
    return 1 if breaks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
