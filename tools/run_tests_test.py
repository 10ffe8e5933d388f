"""That run_tests counts what happened."""

import importlib.machinery
import importlib.util
import json
import pathlib
import tempfile
import unittest

_PATH = pathlib.Path(__file__).resolve().parent / "run_tests"
_LOADER = importlib.machinery.SourceFileLoader("run_tests", str(_PATH))
run_tests = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", _LOADER))
_LOADER.exec_module(run_tests)

GTEST_XML = """<?xml version="1.0"?>
<testsuites><testsuite name="A">
  <testcase name="Good" status="run" result="completed" classname="A" />
  <testcase name="Bad" status="run" result="completed" classname="A">
    <failure message="a.cc:1&#x0A;1 is not 2" type=""></failure>
  </testcase>
  <testcase name="Root" status="run" result="skipped" classname="A">
    <skipped message="a.cc:9&#x0A;needs root" />
  </testcase>
  <testcase name="DISABLED_Old" status="notrun" result="suppressed" classname="A" />
</testsuite></testsuites>"""


class RunTestsTest(unittest.TestCase):
    def test_cases_of_googletest(self):
        cases = run_tests.cases_of_result("//a:a", "FAILED", GTEST_XML)
        self.assertEqual([c.outcome for c in cases], ["passed", "failed", "skipped", "skipped"])
        self.assertEqual(cases[1].name, "//a:a A.Bad")
        self.assertIn("1 is not 2", cases[1].detail)
        self.assertIn("needs root", cases[2].detail)
        self.assertEqual(run_tests.summary_line(cases), "1 passed, 1 failed, 2 skipped")

    def test_a_failing_subtest_counts(self):
        class Inner(unittest.TestCase):
            def test_parts(self):
                for part in range(3):
                    with self.subTest(part=part):
                        self.assertNotEqual(part, 1)

        collector = run_tests._Collector()
        unittest.defaultTestLoader.loadTestsFromTestCase(Inner).run(collector)
        self.assertEqual([c.outcome for c in collector.cases].count("failed"), 1)

    def test_a_crash_or_time_out_is_a_failure(self):
        good = GTEST_XML.replace("failure", "system-out")
        cases = run_tests.cases_of_result("//a:a", "TIMEOUT", good)
        self.assertIn(run_tests.Case("//a:a", "failed", "Bazel says TIMEOUT"), cases)
        # It passed, but only when it was run again.
        cases = run_tests.cases_of_result("//a:a", "FLAKY", good)
        self.assertIn(run_tests.Case("//a:a", "failed", "Bazel says FLAKY"), cases)
        for xml_text in (None, "<testsuites><"):
            cases = run_tests.cases_of_result("//a:a", "FAILED", xml_text)
            self.assertEqual([c.outcome for c in cases], ["failed"])

    def test_a_script_without_cases_counts_once(self):
        self.assertEqual(run_tests.cases_of_result("//a:a", "PASSED", None),
                         [run_tests.Case("//a:a", "passed", "")])

    def bazel_cases(self, log):
        text = ('<testsuites><testsuite name="a/a" tests="1"><testcase name="a/a" status="run"/>'
                f"<system-out>Generated:\n<![CDATA[{log}]]></system-out></testsuite></testsuites>")
        return run_tests.cases_of_result("//a:a", "PASSED", text)

    def test_logs_of_tests_that_write_no_xml(self):
        self.assertEqual(self.bazel_cases("all is well"), [run_tests.Case("//a:a", "passed", "")])
        self.assertEqual(self.bazel_cases("x\nSKIPPED: needs root\n"),
                         [run_tests.Case("//a:a", "skipped", "needs root")])
        cases = self.bazel_cases("test_a (m.A.test_a) ... ok\n"
                                 "test_b (m.A.test_b) ... skipped 'no prometheus'\n\n"
                                 "Ran 3 tests in 0.1s\n\nOK (skipped=2)\n")
        self.assertEqual(run_tests.summary_line(cases), "1 passed, 0 failed, 2 skipped")
        self.assertEqual(cases[0], run_tests.Case("//a:a test_b", "skipped", "no prometheus"))

    def test_events(self):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(GTEST_XML)
            file.flush()
            events = [
                {"id": {"started": {}}},
                {"id": {"testResult": {"label": "//a:a"}},
                 "testResult": {"status": "FAILED", "testActionOutput": [
                     {"name": "test.xml", "uri": f"file://{file.name}"}]}},
            ]
            cases = run_tests.cases_of_events([json.dumps(e) for e in events],
                                              ["//a:a", "//b:b"])
        self.assertEqual(run_tests.summary_line(cases), "1 passed, 2 failed, 2 skipped")
        self.assertEqual(cases[-1].name, "//b:b")

    def test_checks(self):
        self.assertEqual(run_tests.run_check("x", ["true"]).outcome, "passed")
        failed = run_tests.run_check("x", ["sh", "-c", "echo why; exit 3"])
        self.assertEqual((failed.outcome, failed.detail), ("failed", "why"))


if __name__ == "__main__":
    unittest.main()
