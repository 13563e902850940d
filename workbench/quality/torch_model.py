"""A model of transformers, asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.quality.measure import Floats


class TorchModel:
    """A causal language model in evaluation mode, on whatever device it lies.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        It is asked without gradients and without a cache between calls.
    runs_in : str
        "transformers" if that loaded the checkpoint as it stands, else empty.
    """

    def __init__(self, model: Any, runs_in: str = "transformers") -> None:
        self.model, self.runs_in = model.eval(), runs_in
        self.longest = int(getattr(model.config, "max_position_embeddings", None) or 2**31)

    def _ids(self, ids: Sequence[int]) -> Any:
        import torch

        return torch.tensor([list(ids)], device=self.model.device)

    def log_probs(self, ids: Sequence[int], first: int) -> Floats:
        """See :class:`measure.Scored`."""
        import torch

        with torch.inference_mode():
            logits = self.model(self._ids(ids), use_cache=False).logits[0, first - 1 : -1]
            return np.asarray(logits.float().log_softmax(-1).cpu().numpy())

    def layers(self, ids: Sequence[int]) -> list[Floats]:
        """See :class:`measure.Scored`."""
        import torch

        with torch.inference_mode():
            states = self.model(self._ids(ids), use_cache=False, output_hidden_states=True).hidden_states
        return [state[0].float().cpu().numpy() for state in states[1:]]

    def say(self, ids: Sequence[int], tokens: int) -> list[int]:
        """See :class:`measure.Scored`."""
        import torch

        with torch.inference_mode():
            said = self.model.generate(
                self._ids(ids), attention_mask=torch.ones((1, len(ids)), device=self.model.device),
                max_new_tokens=tokens, do_sample=False, temperature=None, top_p=None, top_k=None,
            )  # fmt: skip
        return [int(token) for token in said[0, len(ids) :]]


def load(folder: Path, dtype: str) -> TorchModel:
    """The checkpoint of a folder, run as it says, its other weights in ``dtype``; on the GPU if it has room."""
    from transformers import AutoModelForCausalLM

    return placed(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False))


def placed(model: Any, runs_in: str = "transformers") -> TorchModel:
    """A model of transformers, on the GPU if there is one with room for it."""
    import torch

    if torch.cuda.is_available():
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        if size * 1.2 + 2**30 < torch.cuda.mem_get_info()[0]:
            return TorchModel(model.to("cuda"), runs_in)
    return TorchModel(model, runs_in)
