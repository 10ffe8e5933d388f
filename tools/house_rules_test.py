"""That the rules in house_rules/ see what they are there for, and nothing else."""

import pathlib
import tempfile
import unittest

from house_rules import (allowances, build_files, cc_source, class_bounds, comment_lines,
                         core_text, dead_code, imports, visits)


def source(text, path="services/x/core/a.cc"):
    return cc_source.Source(path, text)


def kinds(text):
    """name -> kind of all that is declared."""
    return {d.name: d.kind for d in source(text).declarations}


class CcSourceTest(unittest.TestCase):
    def test_comments_and_literals_are_no_code(self):
        code = source('int a;  // int b;\n/* int c;\n */ auto d = "int e; // {";\n'
                      "char f = '{'; auto g = R\"(int h; })\"; long i = 1'000;").code
        for word in ("b", "c", "e", "h"):
            self.assertNotRegex(code, rf"\b{word}\b")
        for word in ("a", "d", "f", "g", "i"):
            self.assertRegex(code, rf"\b{word}\b")
        self.assertEqual(code.count("\n"), 3)

    def test_functions_and_data(self):
        found = kinds("""
            namespace n {
            struct Row { int one = 1, two = 2; std::map<int, std::vector<int>> three{{1, {}}}; };
            class Table final : public Base<Row, 3> {
             public:
              explicit Table(int x) : x_(x), rows_{} { rows_.reserve(x < 3 ? 4 : 5); }
              ~Table() override = default;
              Table(const Table&) = delete;
              bool operator()(int a) const { return a > x_; }
              friend bool operator==(const Table&, const Table&) = default;
              template <typename F> auto Visit(F visit) const -> decltype(visit(1)) { return {}; }
              std::function<void(int, Row)> callback() const;
              using Key = int;
              enum class Stage { kNew, kOld };
             private:
              void Add(std::function<void()> f = [] {}) ABSL_LOCKS_EXCLUDED(mu_);
              std::function<void(int)> callback_;
              std::unique_ptr<Row> row_ ABSL_GUARDED_BY(mu_) = nullptr;
              static constexpr int kMost = 3;
              struct Inner { int deep = 0; };
              int x_, y_ = 0;
              char buffer_[16] = {};
              std::vector<Row> rows_;
            };
            }  // namespace n
            void n::Table::Add(std::function<void()> f) { if (f) f(); }
            """)
        for name in ("Add", "Visit", "callback", "operator", "~Table"):
            self.assertEqual(found[name], "function", name)
        for name in ("one", "two", "three", "callback_", "row_", "x_", "y_", "buffer_", "rows_",
                     "deep"):
            self.assertEqual(found[name], "data", name)
        self.assertEqual(found["kMost"], "static")
        self.assertEqual(found["Key"], "alias")
        self.assertEqual(found["Stage"], "enum")
        self.assertEqual(found["Inner"], "class")

    def test_counts_of_a_class(self):
        table = source("""
            class Table {
             public:
              Table(); Table(const Table&) = delete; ~Table() = default;
              int A() const; int A(int); static int B();
             private:
              struct Row { int a; int b; int c; void Deep(); };
              int one_; const Row* two_ = nullptr; static int three_; bool four_ : 1;
            };""").classes
        self.assertEqual([c.name for c in table], ["Row", "Table"])
        self.assertEqual(class_bounds.counts(table[1]), (4, 3))
        self.assertEqual(class_bounds.counts(table[0]), (1, 3))

    def test_owners_lines_and_bodies(self):
        one = source("namespace a {\nint Table<K>::Find(\n    K key) {\n  return key;\n}\n}\n")
        found = [d for d in one.declarations if d.name == "Find"][0]
        self.assertEqual((found.owner, found.line), ("Table", 2))
        self.assertEqual(one.body(found), ["{", "return", "key", ";", "}"])

    def test_everything_of_the_tree_can_be_read(self):
        root = pathlib.Path(__file__).resolve().parent.parent
        for path in sorted((root / "services").rglob("*.h")):
            one = cc_source.Source(str(path), path.read_text())
            depth = sum((t == "{") - (t == "}") for t in one.tokens)
            self.assertEqual(depth, 0, path)
            self.assertTrue(one.declarations or "namespace" in one.tokens, path)


class AllowancesTest(unittest.TestCase):
    def judge(self, text, findings):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "x.txt").write_text(text)
            breaks = " | ".join(allowances.judge("x", findings, folder))
            if "not `" not in breaks and "twice" not in breaks:
                allowances.tighten("x", findings, folder)
            return breaks, (folder / "x.txt").read_text()

    def test_a_number_may_only_fall(self):
        finding = allowances.Finding("a.h", 2, ["a.h is bad"])
        self.assertEqual(self.judge("# c\na.h | 2 | why\n", [finding])[0], "")
        self.assertIn("a.h is bad", self.judge("", [finding])[0])
        self.assertIn("a.h is bad", self.judge("a.h | 1 | why\n", [finding])[0])
        breaks, after = self.judge("# c\na.h | 3 | why\nb.h | 1 | gone\n", [finding])
        self.assertIn("'a.h' is 2 and no longer 3", breaks)
        self.assertIn("'b.h' is 0 and no longer 1", breaks)
        self.assertEqual(after, "# c\na.h | 2 | why\n")

    def test_tightening_never_allows_more(self):
        finding = allowances.Finding("a.h", 5, ["a.h is bad"])
        self.assertEqual(self.judge("a.h | 3 | why\n", [finding])[1], "a.h | 3 | why\n")

    def test_a_line_has_a_reason(self):
        self.assertIn("x.txt:1", self.judge("a.h | 1 |\n", [])[0])
        self.assertIn("x.txt:1", self.judge("a.h | 0 | why\n", [])[0])
        self.assertIn("twice", self.judge("a.h | 1 | why\na.h | 1 | why\n", [])[0])

    def test_by_subject(self):
        found = allowances.by_subject([("a", "1"), ("b", "2"), ("a", "3")])
        self.assertEqual([(f.subject, f.number) for f in found], [("a", 2), ("b", 1)])


class ClassBoundsTest(unittest.TestCase):
    def test_bounds(self):
        methods = "".join(f"int Method{i}();" for i in range(41))
        members = "".join(f"int m{i}_;" for i in range(21))
        text = f"class A {{ {methods} }}; class B {{ {members} }}; struct Row {{ {members} }};"
        found = list(class_bounds.findings([source(text, "a.h")]))
        self.assertEqual([(f.subject, f.number) for f in found],
                         [("a.h A methods", 41), ("a.h B members", 21)])
        self.assertEqual(list(class_bounds.findings([source(text, "a_test.cc")])), [])


class CoreTextTest(unittest.TestCase):
    def words(self, text):
        return [why.split(" ")[0].strip("'") for _, why in core_text.breaks_of(source(text))]

    def test_banned(self):
        for text in ("LOG(INFO) << 1;", "VLOG(1) << 1;", "LOG_EVERY_N(INFO, 9) << 1;",
                     "auto t = absl::Now();", "auto t = std::chrono::steady_clock::now();",
                     "std::mutex m;", "std::atomic<int> n;", "absl::Mutex mu;", "fopen(name);",
                     "std::ifstream in;", "getenv(name);", "std::mt19937_64 r;",
                     "std::uniform_int_distribution<int> d;", "rand();",
                     "#include <thread>\n", "#include <glog/logging.h>\n"):
            self.assertEqual(len(self.words(text)), 1, text)

    def test_allowed(self):
        for text in ("// LOG(INFO), std::mutex and absl::Now()\n", "Catalogue(1);",
                     'Say("absl::Now()");', "absl::Time now_;", "random.Below(3);",
                     "core.rand();", "#include <glog/logging.h>\nCHECK(x);", "base::Rng rng(1);"):
            self.assertEqual(self.words(text), [], text)

    def test_what_a_core_includes_is_pure_too(self):
        tree = [source('#include "services/rpc/leader_finder.h"\n'),
                source("std::mutex m;", "services/rpc/leader_finder.h"),
                source("std::mutex m;", "services/rpc/leader_finder.cc"),
                source("std::mutex m;", "services/rpc/server.cc"),
                source("std::mutex m;", "services/x/core/a_test.cc"),
                source("std::mutex m;", "services/x/core/test_a.h")]
        found = [path for path, _ in core_text.pairs(tree, {"services/x/core/test_a.h"})]
        self.assertEqual(found, ["services/rpc/leader_finder.cc", "services/rpc/leader_finder.h"])


class BuildFilesTest(unittest.TestCase):
    def test_names(self):
        builds = build_files.BuildFiles({
            "BUILD.bazel": 'exports_files(["Makefile"])',
            "a/BUILD.bazel": """
load("//tools:build_defs.bzl", "tessera_cc_library")
tessera_cc_library(name = "x", srcs = ["x.cc"], hdrs = glob(["*.h"], exclude = ["no.h"]))
tessera_cc_library(name = "t", testonly = True, hdrs = ["harness.h"])
[tessera_cc_test(name = n) for n in ["one_test", "two_test"]]
tessera_cc_test(name = "three_test", srcs = ["three_test.cc", "help.h"])
"""})
        for path in ("a/x.cc", "a/x.h", "a/one_test.cc", "a/two_test.cc", "Makefile"):
            self.assertTrue(builds.names(path), path)
        for path in ("a/no.h", "a/y.cc", "z.cc"):
            self.assertFalse(builds.names(path), path)
        self.assertIn("a/harness.h", builds.test_only)
        self.assertIn("a/help.h", builds.test_only)
        self.assertNotIn("a/x.h", builds.test_only)


class DeadCodeTest(unittest.TestCase):
    def test_files(self):
        builds = build_files.BuildFiles({"a/BUILD.bazel": 'x(srcs = ["used.cc", "unit.service"])'})
        texts = {"a/used.cc": "", "a/dead.cc": "", "tools/run": "tools/helped.sh", "Makefile":
                 "tools/run", "tools/helped.sh": "", "tools/lost.sh": "lost.sh",
                 "tools/part.py": "", "tools/whole.py": "import part", "README.md": "whole.py"}
        found = {f.subject for f in dead_code.dead_files(
            [*texts, "a/unit.service"], texts, builds)}
        self.assertEqual(found, {"a/dead.cc", "tools/lost.sh"})

    def tree(self):
        return [
            source("class Used { int Asked(); int Tested(); int Dead(); Used(); void On() override;"
                   " }; class Lost { Lost(); Lost* next; }; enum class Gone { kA };"
                   " using Id = int; inline int Once() { return 1; } enum Old { kB };", "a/a.h"),
            source('#include "a/a.h"\nint Used::Asked() { return 1; }\nUsed::Used() {}\n'
                   "int Used::Tested() { return 2; }\nint Used::Dead() { return Once(); }\n"
                   "Lost::Lost() {}\n", "a/a.cc"),
            source('#include "a/a.h"\nint main() { Used used; return used.Asked() + kB; }',
                   "a/main.cc"),
            source('#include "a/a.h"\nvoid T(Used u) { u.Tested(); }', "a/a_test.cc"),
            source("int own;", "a/b.h"),
            source('#include "a/b.h"\n', "a/b.cc"),
            source('#include "a/b.h"\n', "a/b_test.cc"),
            source("int none;", "a/c.h"),
        ]

    def test_declarations(self):
        found = {f.subject: f.messages[0] for f in dead_code.dead_declarations(self.tree(), set())}
        self.assertEqual(set(found), {"a/a.h Used::Tested", "a/a.h Used::Dead", "a/a.h Lost",
                                      "a/a.h Gone", "a/a.h Id"})
        self.assertIn("only tests", found["a/a.h Used::Tested"])
        self.assertIn("nobody", found["a/a.h Used::Dead"])
        self.assertEqual(list(dead_code.dead_declarations(self.tree(), {"a/a.h"})), [])

    def test_headers(self):
        found = {f.subject: f.messages[0] for f in dead_code.dead_headers(self.tree(), set())}
        self.assertEqual(set(found), {"a/b.h", "a/c.h"})
        self.assertIn("only its tests", found["a/b.h"])


class CommentLinesTest(unittest.TestCase):
    LONG = "// " + "word " * 18 + "end"

    def lines(self, *text):
        return [line for line, _ in comment_lines.breaks_of("\n".join(text))]

    def test_a_word_left_over(self):
        self.assertEqual(self.lines(self.LONG, "// come", "//   exactly once and last."), [2])
        self.assertEqual(self.lines("  " + self.LONG, "  // before", "  // it goes on."), [2])

    def test_paragraphs_and_lists_are_fine(self):
        self.assertEqual(self.lines(self.LONG, "// come.", "// Another sentence."), [])
        self.assertEqual(self.lines(self.LONG, "// come", "int x;"), [])
        self.assertEqual(self.lines(self.LONG, "// come", "// - an item"), [])
        self.assertEqual(self.lines("// Short.", "// come", "// and go on."), [])


class VisitsTest(unittest.TestCase):
    def found(self, text, rule):
        return [line for line, _ in rule(source(text))]

    def test_catch_alls(self):
        rule = visits.catch_alls
        bad = "std::visit(base::Overloaded{[&](const A& a) { F(a); },\n[](const auto&) {}}, v);"
        self.assertEqual(self.found(bad, rule), [2])
        self.assertEqual(self.found(bad.replace("const auto&", "auto&& rest"), rule), [2])
        # Handed on to overloads: the compiler looks on.
        self.assertEqual(self.found(bad.replace("const auto&) {}", "const auto& r) { F(r); }"),
                                    rule), [])
        self.assertEqual(self.found("std::visit(Overloaded{[&](const A& a) { "
                                    "Each([](const auto&) {}); }}, v);", rule), [])

    def test_asked_members(self):
        text = "if constexpr (requires { a.serial; }) return a.serial;"
        self.assertEqual(self.found(text, visits.asked_members), [1])

    def test_template_overloads(self):
        text = ("class A { void On(const B&); template <typename T> void On(const T&) {}\n"
                "template <typename T> void Other(T); };")
        self.assertEqual(self.found(text, visits.template_overloads), [1])

    def test_switch_defaults(self):
        rule = visits.switch_defaults
        text = "switch (k) { case Kind::kA: { switch (n) { default: break; } }\ndefault: return; }"
        self.assertEqual(self.found(text, rule), [2])
        self.assertEqual(self.found(text.replace("kA", "UPPER_CASE"), rule), [])
        self.assertEqual(self.found(text.replace("Kind::kA", "absl::StatusCode::kOk"), rule), [])
        self.assertEqual(self.found("switch (k) { case kA: return; }", rule), [])

    def test_asked_chains(self):
        rule = visits.asked_chains
        self.assertEqual(self.found(
            "if (auto* a = std::get_if<A>(&v)) { F(*a); }\n"
            "else if (std::holds_alternative<B>(v)) G(); else H();", rule), [1])
        self.assertEqual(self.found("if (std::get_if<A>(&v)) F(); else G();", rule), [])

    def test_not_in_tests(self):
        text = "if (std::get_if<A>(&v)) F(); else if (std::get_if<B>(&v)) G();"
        tree = [source(text, "a_test.cc"), source(text, "a/testing/b.h"), source(text, "t.h"),
                source(text, "a.cc")]
        self.assertEqual([path for path, _ in visits.pairs(tree, {"t.h"})], ["a.cc"])


def including(path, *headers):
    return source("".join(f'#include "{h}"\n' for h in headers), path)


class ImportsTest(unittest.TestCase):
    def subjects(self, *tree):
        return [(f.subject, f.number) for f in imports.findings(tree, set())]

    def test_rooms(self):
        self.assertEqual(imports.room_of("services/a/core/x.h"), "services/a/core")
        self.assertEqual(imports.room_of("services/base/testing/x.h"), "services/base")
        self.assertEqual(imports.room_of("services/a/main.cc"), "services/a/main.cc")
        self.assertEqual(imports.room_of("cli/run/job.h"), "cli/run")
        self.assertEqual(imports.room_of("cli/table.h"), "cli")

    def test_insides_of_others(self):
        self.assertEqual(
            self.subjects(including("services/a/core/x.h", "services/b/core/y.h"),
                          including("services/a/core/x_test.cc", "services/b/core/y.h"),
                          including("services/a/core/z.h", "services/base/bytes.h", "absl/a.h"),
                          including("services/a/core/c.h", "services/b/client/y.h"),
                          including("tests/sim/w.h", "services/b/core/y.h")),
            [("services/a -> services/b/core", 1), ("services/a -> services/b/core in tests", 1)])

    def test_arrows_back(self):
        self.assertEqual(
            self.subjects(including("services/a/x/1.h", "services/a/y/2.h"),
                          including("services/a/x/3.h", "services/a/y/2.h"),
                          including("services/a/y/2.h", "services/a/z/4.h"),
                          including("services/a/z/4.h", "services/a/x/1.h"),
                          including("services/a/z/5.h", "services/a/x/1.h"),
                          including("services/a/w/6_test.cc", "services/a/x/1.h")),
            [("services/a/y -> services/a/z", 1)])

    def test_circles_within_a_room(self):
        self.assertEqual(
            self.subjects(including("services/a/x/1.h", "services/a/x/2.h"),
                          including("services/a/x/2.cc", "services/a/x/2.h", "services/a/x/1.h")),
            [("services/a/x/1 -> services/a/x/2", 1)])

    def test_floors_of_shared_libraries(self):
        self.assertIn(("services/base/a.h -> services/model/b.h", 1),
                      self.subjects(including("services/base/a.h", "services/model/b.h")))
        self.assertEqual(self.subjects(including("services/model/b.h", "services/base/a.h")), [])

    def test_drawing(self):
        tree = [including("services/a/main.cc", "services/a/core/x.h"),
                including("services/a/core/x.h", "services/base/y.h")]
        self.assertEqual(imports.drawing(tree, set()).splitlines(), [
            "floor 2", "  services/a/main.cc -> services/a/core 1",
            "floor 1", "  services/a/core -> services/base 1",
            "floor 0", "  services/base", "3 floors, 2 arrows, 0 back"])
        self.assertIn('"services/a/core" -> "services/base" [label=1];', imports.dot(tree, set()))


if __name__ == "__main__":
    unittest.main()
