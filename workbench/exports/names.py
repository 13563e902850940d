"""Names from users: made safe, quoted by whoever writes them, or refused.

Everything in a file is quoted by what owns its format (:mod:`shlex`, PyYAML, :mod:`json`). Here is what no quoting
helps against: a name that is to be part of a DNS name, a newline in a path.
"""

from __future__ import annotations

import re
import unicodedata

from workbench.errors import InvalidInput

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def label(field: str, value: str) -> str:
    """A part of a DNS name (RFC 1123), with room for a suffix; InvalidInput names the field.

    >>> label("name", "llama-3")
    'llama-3'
    """
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise InvalidInput(
            f"{field} is {value!r}; it must be at most 40 lower-case letters, digits and dashes, no dash at either end"
        )
    return value


def host(value: str) -> str:
    """A DNS name; InvalidInput otherwise."""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise InvalidInput(f"host is {value!r}; it must be a DNS name in lower case, such as llm.example.com")
    return value


def plain(field: str, value: str) -> str:
    """Text of one line without control characters, which every format can quote; InvalidInput names the field.

    >>> plain("model", 'a "b" $(c) {{ d }}')
    'a "b" $(c) {{ d }}'
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{field} is {value!r}; it must not be empty")
    if any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in value):
        raise InvalidInput(f"{field} is {value!r}; it must be one line without control characters")
    return value


def made(value: str) -> str:
    """A label out of any name.

    >>> made("meta-llama/Llama-3.1-8B-Instruct"), made("模型")
    ('llama-3-1-8b-instruct', 'model')
    """
    last = unicodedata.normalize("NFKD", value).rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40].strip("-") or "model"
