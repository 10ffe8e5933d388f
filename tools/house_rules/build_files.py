"""What the BUILD files name, read as the Python that they nearly are, without Bazel."""

import ast
import fnmatch
import functools
import posixpath


class BuildFile:
    """One BUILD.bazel: which files of its package it names, and which for tests alone."""

    def __init__(self, package, text):
        self.package = package
        self.strings = set()
        self.globs = []
        self.test_only = set()
        self._read(ast.parse(text))

    def _read(self, node, test_only=False):
        if isinstance(node, ast.Call):
            if getattr(node.func, "id", "") == "glob":
                self._read_glob(node)
                return
            keywords = {k.arg: k.value for k in node.keywords}
            said = keywords.get("testonly")
            test_only = test_only or getattr(node.func, "id", "").endswith("_test") or (
                isinstance(said, ast.Constant) and said.value is True)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.strings.add(node.value)
            if test_only:
                self.test_only.add(posixpath.join(self.package, node.value))
        for child in ast.iter_child_nodes(node):
            self._read(child, test_only)

    def _read_glob(self, call):
        def strings(node):
            return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]

        patterns = [s for argument in call.args for s in strings(argument)]
        excluded = [s for k in call.keywords if k.arg == "exclude" for s in strings(k.value)]
        patterns += [s for k in call.keywords if k.arg == "include" for s in strings(k.value)]
        self.globs.append((patterns, excluded))

    def names(self, file):
        """Whether a file, relative to the package, is named. A test's name stands for its .cc."""
        if file in self.strings or ":" + file in self.strings:
            return True
        if file.endswith(".cc") and file[:-3] in self.strings:
            return True
        return any(any(fnmatch.fnmatch(file, p) for p in patterns) and
                   not any(fnmatch.fnmatch(file, p) for p in excluded)
                   for patterns, excluded in self.globs)


class BuildFiles:
    """Those of the whole tree. `texts`: path of each BUILD.bazel -> its text."""

    def __init__(self, texts):
        self.files = {posixpath.dirname(path): BuildFile(posixpath.dirname(path), text)
                      for path, text in texts.items()}

    def package_of(self, path):
        folder = posixpath.dirname(path)
        while folder not in self.files:
            if not folder:
                return None
            folder = posixpath.dirname(folder)
        return folder

    def names(self, path):
        """Whether some target of the tree has the file."""
        package = self.package_of(path)
        if package is None:
            return False
        relative = posixpath.relpath(path, package or ".")
        label = f"//{package}:{relative}"
        return self.files[package].names(relative) or any(
            label in build.strings for build in self.files.values())

    @functools.cached_property
    def test_only(self):
        return set().union(*(build.test_only for build in self.files.values()))
