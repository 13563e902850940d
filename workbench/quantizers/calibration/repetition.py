"""Whether calibration text repeats itself: the activations of one sentence, however often, are no sample.

References
----------
The measure is the share of character n-grams that occurred before, as data-juicer's ``character_repetition_filter``
has it (n = 10, and half as the most that is kept: https://github.com/modelscope/data-juicer, docs/operators/filter),
taken over the whole text instead of one document, and with n = 40, so that only what is repeated word for word counts;
Rae et al. count words, up to ten (arXiv:2112.11446, table A1). A compressor's ratio, which Whisper looks at
(https://github.com/openai/whisper, whisper/transcribe.py), sees nothing that comes again after zlib's 32 KiB.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from workbench.quantizers.calibration.samples import Conversation, Sample

#: Characters of a stretch: about eight English words.
STRETCH = 40
#: Below this share of new stretches the text is said to repeat itself. Python's documentation has 0.9.
ENOUGH = 0.5
#: Characters looked at, from the beginning, where a method takes its samples.
_LOOKED_AT = 2**20
#: Of a polynomial hash modulo 2^64: any large odd number.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def new_share(text: str) -> float:
    """Share of the stretches of :data:`STRETCH` characters that did not occur before; 1 for a text of less.

    >>> round(new_share("calibration text " * 200), 4)
    0.0051
    >>> new_share("short")
    1.0
    """
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    count = len(codes) - STRETCH + 1
    if count < 1:
        return 1.0
    hashes = np.zeros(count, np.uint64)
    for offset in range(STRETCH):
        hashes = hashes * _FACTOR + codes[offset : offset + count]
    hashes.sort()  # np.unique since NumPy 2.3 fills a table instead, ten times slower on a million that differ
    return (1 + int(np.count_nonzero(hashes[1:] != hashes[:-1]))) / count


def remark(samples: Iterable[Sample]) -> str:
    """What to say of text that repeats itself, or nothing."""
    parts: list[str] = []
    length = 0
    for found in samples:
        parts.append(found.text if isinstance(found, Conversation) else found)
        length += len(parts[-1]) + 1
        if length > _LOOKED_AT:
            break
    share = new_share("\n".join(parts)[:_LOOKED_AT])
    if share >= ENOUGH:
        return ""
    return (
        f"the calibration text repeats itself: {share:.1%} of its stretches of {STRETCH} characters are new; the "
        "activations of one sentence are no sample of what the model will read: give varied text"
    )
