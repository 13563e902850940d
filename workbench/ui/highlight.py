"""Source text as coloured pieces, by Pygments; the page makes spans of them and never takes markup from here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

#: Pygments' short names of tokens -> what the page colours them as; the longest beginning decides.
_LOOKS = {
    "c": "comment",
    "k": "word",
    "s": "text",
    "m": "number",
    "nt": "name",
    "na": "name",
    "nv": "name",
    "nb": "word",
}
#: A kind of file that Pygments has under another name, or nearly so.
_LEXERS = {
    "shell": "bash", "vllm-yaml": "yaml", "kubernetes": "yaml", "compose": "yaml", "modelfile": "docker",
    "haproxy": "nginx", "prometheus": "yaml", "prometheus-rules": "yaml", "grafana": "json", "pbtxt": "protobuf",
}  # fmt: skip


@lru_cache(maxsize=64)
def pieces(text: str, language: str) -> list[tuple[str, str]]:
    """A text as (look, piece) pairs that together are the text; look "" is plain.

    >>> pieces("a: 1\\n", "yaml")
    [('name', 'a'), ('', ': 1\\n')]
    """
    from pygments.lexers import get_lexer_by_name
    from pygments.token import STANDARD_TYPES
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(_LEXERS.get(language, language), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [("", text)]

    numbers = lexer.name != "Bash"  # of an address it would colour the first part alone

    def looks() -> Iterator[tuple[str, str]]:
        for token, piece in lexer.get_tokens(text):
            while token not in STANDARD_TYPES:
                token = token.parent
            short = STANDARD_TYPES[token]
            look = _LOOKS.get(short[:2]) or _LOOKS.get(short[:1], "")
            yield look if numbers or look != "number" else "", piece

    joined: list[tuple[str, str]] = []
    for look, piece in looks():
        if joined and joined[-1][0] == look:
            joined[-1] = (look, joined[-1][1] + piece)
        else:
            joined.append((look, piece))
    return joined if "".join(piece for _, piece in joined) == text else [("", text)]
