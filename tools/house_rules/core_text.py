"""A core is pure by its text, too: it names no log, clock, thread, file or generator of its own.

Bazel proves that no core reaches gRPC; absl and the standard library it cannot tell apart from
inside. So the words are banned here, in the cores and in everything of this tree that they
include, except services/base, which reports bugs (bug.h) and whose own rules say who may use what.
"""

import re

PURE_FOLDER = re.compile(r"^(services|sdk)/[^/]+/core/")
# Logs what must never happen, on its own terms.
EXEMPT = ("services/base/",)

BANNED = (
    (re.compile(r"\bV?D?LOG(_IF|_EVERY_N|_FIRST_N|_IF_EVERY_N)?\s*\("),
     "logs; give the words to the shell as an effect"),
    (re.compile(r"\babsl::(Now|GetCurrentTimeNanos|SleepFor)\b|_clock::now\b|\bstd::time\s*\(|"
                r"\b(gettimeofday|clock_gettime|localtime|gmtime|usleep|nanosleep)\b"),
     "reads a clock; time comes with Step()"),
    (re.compile(r"\babsl::(Mutex|MutexLock|Notification|CondVar|BlockingCounter)\b|"
                r"\bstd::(j?thread|async|future|promise|mutex|shared_mutex|recursive_mutex|"
                r"lock_guard|unique_lock|scoped_lock|condition_variable|atomic\w*|once_flag)\b|"
                r"\bthread_local\b|\bpthread_\w+"),
     "has to do with threads; a core has one caller at a time"),
    (re.compile(r"\bstd::(cout|cerr|clog|cin|i?o?fstream|filesystem)\b|\bf(open|printf)\s*\(|"
                r"(?<![\w.>:])(printf|getenv|getpid|gethostname)\s*\("),
     "touches files, streams or the process"),
    (re.compile(r"\bstd::(mt19937(_64)?|minstd_rand0?|default_random_engine|random_device|"
                r"ranlux\w+|knuth_b|shuffle|sample|\w+_distribution)\b|\babsl::(BitGen|Uniform)\b|"
                r"(?<![\w.>:])s?rand\s*\("),
     "draws from a generator of the standard library; base::Rng gives the same everywhere"),
)
BANNED_HEADERS = {
    "thread", "mutex", "shared_mutex", "condition_variable", "future", "atomic", "random",
    "fstream", "iostream", "filesystem", "cstdio", "stdio.h", "unistd.h", "fcntl.h", "pthread.h",
    "sys/time.h", "absl/synchronization/mutex.h", "absl/synchronization/notification.h",
    "absl/time/clock.h", "absl/random/random.h",
}
LOG_HEADER = "glog/logging.h"
CHECK = re.compile(r"\bD?CHECK(_\w+)?\s*\(")


def is_test(path):
    return path.endswith("_test.cc") or "/testing/" in path


def breaks_of(source):
    """(line, what is wrong) of one file that has to be pure."""
    lines = source.code.split("\n")
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#include"):
            continue
        for pattern, why in BANNED:
            match = pattern.search(line)
            if match:
                yield number, f"'{match.group(0).strip('( ')}' {why}"
    for number, header, _ in source.includes:
        if header in BANNED_HEADERS:
            yield number, f"<{header}> is nothing for a core"
        if header == LOG_HEADER and not CHECK.search(source.code):
            yield number, "the log is nothing for a core; only CHECK is"


def pure_paths(sources, test_only):
    """The files that have to be pure: cores and what they include of this tree, with .cc files.

    `test_only`: files that Bazel builds for tests alone.
    """
    by_path = {source.path: source for source in sources}
    todo = [p for p in by_path if PURE_FOLDER.match(p) and not is_test(p) and p not in test_only]
    pure = set()
    while todo:
        path = todo.pop()
        if path in pure or path not in by_path or path.startswith(EXEMPT):
            continue
        pure.add(path)
        todo += [header for _, header, _ in by_path[path].includes]
        if path.endswith(".h"):
            todo.append(path[:-2] + ".cc")
    return sorted(pure)


def pairs(sources, test_only):
    """(file, message) of each break."""
    by_path = {source.path: source for source in sources}
    for path in pure_paths(sources, test_only):
        for line, why in breaks_of(by_path[path]):
            yield path, f"{path}:{line}: {why}"
