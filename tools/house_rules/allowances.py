"""What a rule still lets pass: lists under allowed/, which may only shrink.

A line is `subject | number | reason`. A rule finds a number for each subject (breaks in a file,
methods of a class). More than the list allows is a break; so is less, because then the line is to
be lowered or taken out (`lint.py --tighten` does). A subject that is not listed is allowed nothing.
"""

import collections
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent / "allowed"

# `messages` are printed when `number` is more than the list allows.
Finding = collections.namedtuple("Finding", "subject number messages")


def read(name, folder=FOLDER):
    """subject -> (number, reason) of a list; a ValueError names a line that is none."""
    path = folder / f"{name}.txt"
    allowed = {}
    if not path.exists():
        return allowed
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|", 2)]
        if len(parts) != 3 or not parts[1].isdigit() or int(parts[1]) == 0 or not parts[2]:
            raise ValueError(f"{path.name}:{number}: not `subject | number | reason`")
        if parts[0] in allowed:
            raise ValueError(f"{path.name}:{number}: {parts[0]} is listed twice")
        allowed[parts[0]] = (int(parts[1]), parts[2])
    return allowed


def by_subject(pairs):
    """Findings from (subject, message) pairs: a subject's number is how many it has."""
    messages = collections.defaultdict(list)
    for subject, message in pairs:
        messages[subject].append(message)
    return [Finding(subject, len(found), found) for subject, found in messages.items()]


def judge(name, findings, folder=FOLDER):
    """The breaks of a rule after its list."""
    try:
        allowed = read(name, folder)
    except ValueError as error:
        yield f"allowed/{error}"
        return
    found = {finding.subject: finding for finding in findings}
    for subject, finding in sorted(found.items()):
        limit = allowed.get(subject, (0, ""))[0]
        if finding.number > limit:
            yield from finding.messages
            if limit:
                yield f"{subject}: {finding.number}; allowed/{name}.txt has {limit}"
    for subject, (limit, _) in sorted(allowed.items()):
        number = found[subject].number if subject in found else 0
        if number < limit:
            yield (f"allowed/{name}.txt: '{subject}' is {number} and no longer {limit}; "
                   "`tools/lint.py --tighten` says so there")


def tighten(name, findings, folder=FOLDER):
    """Lowers what a list allows to what is left."""
    path = folder / f"{name}.txt"
    if not path.exists():
        return
    found = {finding.subject: finding.number for finding in findings}
    kept = []
    for line in path.read_text().splitlines():
        parts = [part.strip() for part in line.split("|", 2)]
        if line.startswith("#") or len(parts) != 3:
            kept.append(line)
            continue
        number = min(int(parts[1]), found.get(parts[0], 0))
        if number:
            kept.append(f"{parts[0]} | {number} | {parts[2]}")
    path.write_text("".join(line + "\n" for line in kept))
