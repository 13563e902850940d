"""Words of a shell's text with their places: quotes, continuations, comments, several commands; one pass, nothing run.

Only what a person pastes is read: ``$NAME`` and ``$(…)`` stay as they are written, and here-documents are skipped.

References
----------
POSIX.1-2024, Shell & Utilities, 2.2 Quoting and 2.3 Token Recognition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[^\s'\"\\;&|<>#()$`]+")
#: A continued line; doubled backslashes come from texts that stood in another text.
_CONTINUED = re.compile(r"\\\\?\r?\n")
_SPACE = re.compile(r"(?:[ \t\r\f\v]|\\\\?\r?\n)+")
_DOUBLE = re.compile(r'[^"\\]+')
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_REDIRECTED = re.compile(r"\d*[<>]")
_ENDS = ";&|\n()"
#: Prompts that are pasted along with a command.
_PROMPTS = ("$", "%", ">", "❯", "#")


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes, where it stood, and as it was written."""

    text: str
    start: int
    end: int
    raw: str = ""


def commands(text: str, start: int = 0, end: int | None = None) -> list[list[Word]]:
    """Simple commands of a text, each as its words.

    Parameters
    ----------
    text : str
    start, end : int
        The part of it that is read; places count from the whole.

    Examples
    --------
    >>> [[word.text for word in command] for command in commands("A=1 b 'c d' \\\\\\n --e # f\\ng | h")]
    [['A=1', 'b', 'c d', '--e'], ['g'], ['h']]
    """
    end = len(text) if end is None else end
    found: list[list[Word]] = []
    now: list[Word] = []
    at = start
    while at < end:
        letter = text[at]
        if (space := _SPACE.match(text, at, end)) is not None:
            at = space.end()
        elif letter == "#":
            at = _line_end(text, at, end)
        elif letter in _ENDS:
            if now:
                found.append(now)
                now = []
            at += 1
        elif (redirected := _REDIRECTED.match(text, at, end)) is not None:
            at = _redirected(text, redirected.end() - 1, end)
        else:
            word, at = _word(text, at, end)
            if now or word.text not in _PROMPTS:
                now.append(word)
    return [*found, now] if now else found


def _line_end(text: str, at: int, end: int) -> int:
    found = text.find("\n", at, end)
    return end if found < 0 else found


def _redirected(text: str, at: int, end: int) -> int:
    """Past a redirection and its file, or a here-document."""
    if (here := _HERE.match(text, at, end)) is not None:
        close = re.compile(rf"^\s*{re.escape(here[2])}\s*$", re.MULTILINE).search(text, here.end(), end)
        return close.end() if close else end
    while at < end and text[at] in "<>&":
        at += 1
    while at < end and text[at] in " \t":
        at += 1
    if at < end and text[at] not in _ENDS and text[at] not in "<>":
        return _word(text, at, end)[1]
    return at


def _word(text: str, at: int, end: int) -> tuple[Word, int]:
    """The word that begins here."""
    start, pieces = at, []
    while at < end:
        letter = text[at]
        if (plain := _PLAIN.match(text, at, end)) is not None:
            pieces.append(plain[0])
            at = plain.end()
        elif letter == "\\":
            if _CONTINUED.match(text, at, end):
                break
            pieces.append(text[at + 1 : at + 2])
            at += 2
        elif letter == "'":
            close = text.find("'", at + 1, end)
            close = end if close < 0 else close
            pieces.append(text[at + 1 : close])
            at = close + 1
        elif letter == '"':
            piece, at = _double(text, at + 1, end)
            pieces.append(piece)
        elif letter == "$" and text.startswith("$(", at):
            close = text.find(")", at, end)
            close = end if close < 0 else close + 1
            pieces.append(text[at:close])
            at = close
        elif letter in "$#`":
            pieces.append(letter)
            at += 1
        else:
            break
    at = max(min(at, end), start + 1)
    return Word("".join(pieces), start, at, text[start:at]), at


def _double(text: str, at: int, end: int) -> tuple[str, int]:
    """What stands in double quotes, and where they end; unclosed ones end with the text."""
    pieces = []
    while at < end and text[at] != '"':
        if (plain := _DOUBLE.match(text, at, end)) is not None:
            pieces.append(plain[0])
            at = plain.end()
        elif text.startswith("\\\n", at):
            at += 2
        else:
            following = text[at + 1 : at + 2]
            pieces.append(following if following in ('"', "\\", "$", "`") else "\\" + following)
            at += 2
    return "".join(pieces), at + 1
