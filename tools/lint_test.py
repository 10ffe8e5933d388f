"""That lint.py sees what it is there for."""

import pathlib
import subprocess
import tempfile
import unittest
import unittest.mock

import lint


class LintTest(unittest.TestCase):
    def test_names(self):
        bad = ["services/common/x.h", "a/string_util.cc", "a/util.h", "x/helpers/y.py",
               "a/task_manager.h"]
        self.assertEqual(len(list(lint.name_breaks(bad))), len(bad))
        self.assertEqual(list(lint.name_breaks(["services/base/bytes.h", "a/community.md"])), [])

    def breaks(self, file, text):
        return " | ".join(lint.text_breaks(file, text))

    def test_text(self):
        self.assertEqual(self.breaks("a.cc", "int x;\n"), "")
        self.assertIn("a.cc:2: 103 columns", self.breaks("a.cc", "\nint x = " + "1 +" * 31 + "1;"))
        self.assertEqual(self.breaks("a.cc", "#include \"" + "x" * 120 + ".h\"\n"), "")
        self.assertIn("finish it", self.breaks("a.cc", "// TO" + "DO: more\n"))
        self.assertEqual(self.breaks("a.cc", "int todo_count;\n"), "")
        self.assertIn("blanks", self.breaks("a.py", "x = 1 \n"))
        self.assertIn("pragma", self.breaks("a.h", "// What.\nint x;\n"))
        self.assertIn("opens with", self.breaks("a.h", "#pragma once\nint x;\n"))
        self.assertEqual(self.breaks("a.h", "// What.\n#pragma once\nint x;\n"), "")
        self.assertEqual(self.breaks("a_test.cc", "int x;\n" * 800), "")
        self.assertIn("a_test.cc: 801 lines", self.breaks("a_test.cc", "int x;\n" * 801))
        self.assertIn("a.h: 802 lines", self.breaks("a.h", "// x\n#pragma once\n" * 401))
        self.assertEqual(self.breaks("a.md", "x" + " y" * 100), "")

    def test_format(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / ".clang-format").write_text("BasedOnStyle: Google\n")
            (root / "good.cc").write_text("int x;\n")
            (root / "bad.cc").write_text("int   x ;\n")
            found = list(lint.format_breaks(root, ["good.cc", "bad.cc"]))
        self.assertEqual(len(found), 1)
        self.assertIn("bad.cc", found[0])

    def test_services(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for service in lint.SERVICES:
                for part in ("core", "server"):
                    (root / "services" / service / part).mkdir(parents=True)
                (root / "services" / service / "main.cc").write_text("")
                (root / "services" / service / "README.md").write_text("x\n" * 40)
            self.assertEqual(list(lint.service_breaks(root)), [])
            (root / "services" / "state" / "README.md").write_text("x\n" * 41)
            (root / "services" / "agent" / "main.cc").unlink()
            self.assertEqual(len(list(lint.service_breaks(root))), 2)

    def test_tree(self):
        # A tree of one service whose core logs, with and without a line that allows it.
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            core = root / "services" / "x" / "core"
            core.mkdir(parents=True)
            (core / "a.h").write_text("// A.\n#pragma once\nint Asked();\n")
            (core / "a.cc").write_text('#include "services/x/core/a.h"\n'
                                       "int Asked() { LOG(INFO) << 1; return 1; }\n")
            (root / "services" / "x" / "main.cc").write_text(
                '#include "services/x/core/a.h"\nint main() { return Asked(); }\n')
            (root / "services" / "x" / "BUILD.bazel").write_text(
                'x(srcs = ["core/a.cc", "core/a.h", "main.cc"], visibility = ["//visibility:public"'
                "])\n")
            for command in (["init", "-q"], ["add", "-A"]):
                subprocess.run(["git", *command], cwd=root, check=True)
            tree = lint.Tree(root)
            allowed = root / "allowed"
            allowed.mkdir()
            with unittest.mock.patch.object(lint.allowances.judge, "__defaults__", (allowed,)):
                found = list(lint.tree_breaks(tree))
                self.assertEqual(len(found), 2, found)
                self.assertIn("a.cc:2: 'LOG' logs", found[0])
                self.assertIn("public to everybody", found[1])
                (allowed / "core_text.txt").write_text("services/x/core/a.cc | 1 | why\n")
                self.assertEqual(len(list(lint.tree_breaks(tree))), 1)

    def test_shell(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "good").write_text("#!/bin/bash\necho x\n")
            (root / "bad").write_text("#!/bin/bash\nif true; then\n")
            found = list(lint.shell_breaks(root, ["good", "bad"]))
        self.assertEqual(len(found), 1)

    def test_purity(self):
        # A bazel that answers with a path, as for a core that reaches gRPC.
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "services" / "state" / "core").mkdir(parents=True)
            for answer, expected in (("echo //a:b", 1), ("true", 0), ("exit 3", 1)):
                fake = root / "bazel"
                fake.write_text(f"#!/bin/sh\n{answer}\n")
                fake.chmod(0o755)
                with unittest.mock.patch.dict("os.environ", {"BAZEL": str(fake)}):
                    self.assertEqual(len(list(lint.purity_breaks(root))), expected, answer)


if __name__ == "__main__":
    unittest.main()
