"""Server-sent events: bytes of a streamed answer in, the data of each event out.

Follows the event-stream format of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html)
as far as OpenAI's API uses it. Lines end at CR, LF or CRLF only: a generated U+2028 or U+0085 inside the JSON is
text, which is why the lines are not split by :meth:`str.splitlines` (or httpx' ``iter_lines``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_END = re.compile(rb"\r\n|\n|\r")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        # A CR at the very end may be the first half of CRLF: wait for what follows.
        held = b"\r" if rest.endswith(b"\r") else b""
        *whole, rest = _END.split(rest[: len(rest) - len(held)])
        rest += held
        for line in whole:
            yield line.decode("utf-8", errors="replace")
    for line in _END.split(rest):
        if line:
            yield line.decode("utf-8", errors="replace")


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event, in order; comments and other fields are skipped.

    Parameters
    ----------
    chunks : iterable of bytes
        As they arrive; an event may be spread over several, or several be in one.

    Examples
    --------
    >>> list(events([b'data: {"a"', b': 1}\\n\\n: ping\\n\\ndata: [DO', b'NE]\\n\\n']))
    ['{"a": 1}', '[DONE]']
    """
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data:
                yield "\n".join(data)
            data = []
            continue
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
    if data:  # the standard drops an unfinished event; servers that forget the last blank line are more common
        yield "\n".join(data)
