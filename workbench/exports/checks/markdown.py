"""Markdown for people: nothing but text can be asked of it."""

from __future__ import annotations

from workbench.exports.file import Check, File

KIND = "markdown"


def check(file: File) -> list[Check]:
    """Whether it has a heading and closes its fences."""
    sound = file.text.startswith("# ") and file.text.count("```") % 2 == 0
    return [Check("headings and fences", "pass" if sound else "fail", "" if sound else "no heading, or an open fence")]
