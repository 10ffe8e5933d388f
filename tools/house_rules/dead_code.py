"""Dead files and dead declarations.

A C++ file belongs to a target, a header is included by somebody, any other file is named by one
that is alive. What a header declares is used outside of its own tests: by another line of code than
its declaration and its definition. This is a search for words, not for meanings, so it finds less
than there is; what it finds is to be taken out, or listed with the reason why it stays.
"""

import collections
import pathlib
import re

from house_rules.allowances import Finding

_FILE_WORD = re.compile(r"[\w.+-]+")
# Read by their tools because of their names.
_BY_CONVENTION = re.compile(
    r"(^|/)(README\.md|BUILD\.bazel|WORKSPACE|Makefile|CHANGELOG\.md|CONTRIBUTING\.md|__init__\.py|"
    r"\.[\w.-]+)$|^\.ci/|^docs/adr/\d|^third_party/|^tools/house_rules/allowed/|/testdata/|"
    r"_test\.py$|^docs/cores/|^docs/checklists/")
# Called by the language or by templates of others, never by name.
_CALLED_BY_OTHERS = {"begin", "end", "size", "empty", "operator", "main", "value_type", "iterator",
                     "const_iterator", "AbslHashValue", "AbslParseFlag", "AbslUnparseFlag",
                     "AbslStringify", "swap"}


def is_test(path):
    return path.endswith("_test.cc")


def dead_files(paths, texts, builds):
    """Findings for files that nothing names. `texts`: path -> text, of what is text."""
    mentions = collections.defaultdict(set)
    for path, text in texts.items():
        if path.startswith("tools/house_rules/allowed/"):
            continue  # to be listed as dead is no life
        for word in set(_FILE_WORD.findall(text)):
            mentions[word].add(path)
    for path in paths:
        if _BY_CONVENTION.search(path):
            continue
        name = pathlib.PurePath(path).name
        if path.endswith((".h", ".cc", ".proto")):
            if not builds.names(path):
                yield Finding(path, 1, [f"{path}: no target has it"])
            continue
        if builds.names(path):
            continue
        words = {name, name[:-3]} if name.endswith(".py") else {name}
        if not any(mentions[word] - {path} for word in words):
            yield Finding(path, 1, [f"{path}: no other file names it"])


def dead_headers(sources, test_only):
    """Findings for headers that only their own .cc, or only tests, include."""
    users = collections.defaultdict(set)
    for source in sources:
        for _, header, _ in source.includes:
            users[header].add(source.path)
    for source in sources:
        path = source.path
        if not path.endswith(".h") or path in test_only:
            continue
        others = {u for u in users[path] if u != path[:-2] + ".cc" and not is_test(u)}
        if not others:
            who = "only its tests include it" if any(map(is_test, users[path])) else \
                "nobody includes it"
            yield Finding(path, 1, [f"{path}: {who}"])


def dead_declarations(sources, test_only):
    """Findings for names that headers declare and nobody but tests uses."""
    written = collections.Counter()   # occurrences of a word in code that is not a test
    declared = collections.Counter()  # those of them which declare or define it
    in_tests = collections.Counter()
    for source in sources:
        if is_test(source.path):
            in_tests.update(source.words)
            continue
        written.update(source.words)
        for one in source.declarations:
            declared[one.name.lstrip("~")] += 1
        for one in source.classes:
            _count_own_uses(source, one, declared)
        _count_qualifiers(source, declared)
    for source in sources:
        if not source.path.endswith(".h") or source.path in test_only:
            continue
        for one in source.declarations:
            if one.kind not in ("function", "class", "enum", "alias") or \
                    one.name in _CALLED_BY_OTHERS or not one.name.isidentifier():
                continue
            if one.kind == "function" and (not one.given or one.overrides or
                                           one.name == one.owner.split("::")[-1]):
                continue  # called through the base; lives and dies with its class
            if written[one.name] <= declared[one.name]:
                who = "only tests use it" if in_tests[one.name] else "nobody uses it"
                name = "::".join(filter(None, (one.owner, one.name)))
                yield Finding(f"{source.path} {name}", 1,
                              [f"{source.path}:{one.line}: {name}: {who}"])


def _count_own_uses(source, one, declared):
    """What a class says of itself does not make it alive (its constructors are counted above)."""
    if not one.name:
        return
    inside = source.tokens[one.body[0]:one.body[1]].count(one.name)
    constructors = sum(m.name.lstrip("~") == one.name for m in one.members)
    declared[one.name] += max(0, inside - constructors)


def _count_qualifiers(source, declared):
    """`Foo::` before the name of a definition outside of Foo is a part of that definition."""
    tokens = source.tokens
    for one in source.declarations:
        if one.kind != "function" or one.body is None or not one.owner:
            continue
        # From the body back to the name, over the parameters.
        outer = one.owner.split("::")[-1]
        at = one.body[0]
        while at > 0 and tokens[at] not in (";", "}"):
            at -= 1
        span = tokens[at:one.body[0]]
        for i in range(len(span) - 2):
            if span[i] == outer and span[i + 1] == "::" and \
                    span[i + 2] in (one.name, "~"):
                declared[outer] += 1
                break


def findings(paths, texts, sources, builds):
    """All of the above."""
    test_only = builds.test_only
    yield from dead_files(paths, texts, builds)
    yield from dead_headers(sources, test_only)
    yield from dead_declarations(sources, test_only)
