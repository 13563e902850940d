"""Why transformers' server did not start: the one line of its log that matters, and what to change.

References
----------
Wordings: transformers 5.19.0 ``cli/serving/model_manager.py``, ``models/auto/configuration_auto.py``,
``quantizers/``; Click's for its options.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from workbench.engines import causes
from workbench.engines.causes import Failure
from workbench.engines.vllm.logs import strip_ansi

_TITLE = "transformers"
_OWN = causes.rules(
    (
        "unsupported_model",
        r"does not recognize this architecture|AttributeError: module transformers has no attribute \w+|"
        r"Unrecognized (?:model in|configuration class)|Should have a `model_type` key",
        "This release of transformers does not know the model's architecture. Use a newer one, or another engine.",
    ),
    (
        "quantization",
        r"Unknown quantization type|Unsupported quantization method|"
        r"requires? (?:the )?(?:latest version of )?(?:`?(?:auto-?gptq|gptqmodel|optimum|autoawq|compressed-tensors|"
        r"bitsandbytes|torchao)`?)",
        "transformers cannot load this quantisation with the libraries of its environment. Serve it with vLLM.",
    ),
    (
        "unsupported_kernel",
        r"not (?:currently )?supported on (?:the )?(?:cpu|CPU)|Could not run '[\w:.]+' with arguments from the "
        r"'\w+' backend|FlashAttention2 has been toggled on, but it cannot be used|GPU is required|"
        r"requires? a GPU",
        "transformers has no kernel for this format on this device. Choose another quantisation or another device.",
    ),
    (
        "flags",
        r"No such option: .*|Invalid value for .*|Unsupported dtype: .*|Unsupported attention implementation: .*|"
        r"Got unexpected extra argument",
        "transformers serve does not take a flag or its value. Look at `transformers serve --help`.",
    ),
)
_RULES = (
    *causes.ROOM,
    *causes.ADDRESS,
    *causes.of(_TITLE, causes.MODEL),
    *_OWN,
    *causes.of(_TITLE, (*causes.CARD, *causes.MACHINE)),
)
# A frame that rich draws around an error of the command line.
_FRAME = re.compile(r"^[│╭╰─╮╯\s]+|[│╮╯─\s]+$")


def read_failure(lines: Iterable[str], returncode: int | None = None) -> Failure:
    """Find the line that matters in the log of a server that died.

    Parameters
    ----------
    lines : iterable of str
        The log.
    returncode : int, optional
        Of the process; negative is a signal, as in :mod:`subprocess`.

    Examples
    --------
    >>> read_failure(["ValueError: Couldn't instantiate the backend tokenizer from one of: "], 1).kind
    'tokenizer'
    """
    said = (_FRAME.sub("", strip_ansi(line)) for line in lines)
    return causes.read(said, returncode, _TITLE, _RULES, {})
