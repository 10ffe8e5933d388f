"""Comments that the formatter broke.

clang-format breaks a line that is too long and leaves the rest of it alone on the next one: a
single short word in the middle of a paragraph, with the old line going on behind it. A paragraph
is to be filled again by hand. Items of a list are paragraphs of their own.
"""

import re

_COMMENT = re.compile(r"^( *)//+ ?(.*)$")
_ITEM = re.compile(r"\s*([-*]|\d+[.)])\s")
# What was left over is a word or two of plain prose, in the middle of a sentence.
_LEFT_OVER = re.compile(r" *[a-z]+( [a-z]+){0,2},?$")
COLUMNS = 100


def breaks_of(text):
    """(line, what is wrong)."""
    lines = text.split("\n")
    for i in range(1, len(lines) - 1):
        above, here, below = (_COMMENT.match(line) for line in lines[i - 1:i + 2])
        if not (above and here and below) or not _LEFT_OVER.match(here.group(2)):
            continue
        if not above.group(2).strip() or not below.group(2).strip() or \
                _ITEM.match(below.group(2)) or len({above.group(1), here.group(1)}) > 1:
            continue
        # The line above was full, and this one had room for what follows.
        if len(lines[i - 1]) + len(here.group(2).split()[0]) > COLUMNS - 10 and \
                len(lines[i]) + len(below.group(2).split()[0]) < COLUMNS:
            yield i + 1, f"'{here.group(2).strip()}' was broken off the line above"
