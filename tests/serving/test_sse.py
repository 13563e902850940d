"""Server-sent events, cut anywhere."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from workbench.serving.sse import events


def test_comments_other_fields_and_line_ends() -> None:
    stream = b": hello\r\nevent: x\r\ndata: one\r\n\r\nid: 3\ndata:two\ndata: lines\n\ndata: last"
    assert list(events([stream])) == ["one", "two\nlines", "last"]


def test_unicode_line_separators_are_text() -> None:
    text = "a\u2028b\u0085c\u000bd"
    stream = f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n".encode()
    assert [json.loads(data)["text"] for data in events([stream])] == [text]


@given(
    texts=st.lists(st.text(max_size=30), max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_whatever_the_cuts_the_events_are_the_same(texts: list[str], cuts: list[int], end: str) -> None:
    stream = "".join(f"data: {json.dumps({'text': text}, ensure_ascii=False)}{end}{end}" for text in texts).encode()
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert [json.loads(data)["text"] for data in events(chunks)] == texts
