#!/usr/bin/python3
"""`tools/demo` with fewer tasks: real work by two frameworks, checked, and nothing left behind."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import cluster

DEMO = cluster.ROOT / "tools/demo"


@cluster.needs_root
class Demo(unittest.TestCase):
    def test_every_check_of_a_small_run_holds(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tessera-demo-test-"))
        os.chmod(folder, 0o755)
        # Real files: agent-svc looks for its launcher beside itself.
        binaries = pathlib.Path(folder) / "installed"
        binaries.mkdir()
        for link in cluster.link_binaries(folder).iterdir():
            shutil.copy(link.resolve(), binaries / link.name)
        result = subprocess.run(
            [str(DEMO)],
            env={**os.environ, "TESSERA_BIN": str(binaries), "TASKS": "15"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for held in (
            "ok   words: the merged result is the same as that of wc run directly",
            "ok   checksums: the merged result is the same as that of sha256sum run directly",
            "ok   checksums: each of 30 tasks finished exactly once",
            "ok   no process, mount or cgroup is left",
        ):
            self.assertIn(held, result.stdout)
        self.assertNotIn("FAIL", result.stdout)


if __name__ == "__main__":
    cluster.main()
