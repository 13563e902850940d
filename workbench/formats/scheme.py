"""A quantisation scheme: which matrix of a model is stored how, what it multiplies in and what it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.errors import UnsupportedModel
from workbench.formats.kinds import Format
from workbench.formats.modules import Modules

if TYPE_CHECKING:
    from workbench.architecture.model import Model
    from workbench.architecture.weights import Weight

#: What quantisers convert when nothing else is said: the layers' linear modules. Embeddings, output projection,
#: routers, norms, convolutions and towers stay as they are.
LINEAR = frozenset({"attention", "mlp", "expert"})


@dataclass(frozen=True, eq=False, slots=True)
class Rule:
    """Some modules, and how they are stored (None: left in the model's float)."""

    modules: Modules
    format: Format | None


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the weights of a model are stored and multiplied.

    Parameters
    ----------
    id, title : str
        Name in a Deployment's ``quantization``; name people read.
    format : Format
        How a matrix is stored that no rule names.
    compute : str
        Format of the matrix multiplication on a card that can: "bf16" (weight-only schemes), "fp8", "int8", "fp4".
    roles : frozenset of str
        Roles of the weights that are stored in ``format``; other weights keep the model's float.
    rules : tuple of Rule
        Modules that are stored otherwise; the first that names a module decides, whatever its role.
    cache_bytes : int
        Bytes of the scales of an FP8 KV cache, stored in each layer that caches tokens.
    vector_bytes : int, optional
        Bytes of a norm's or bias's value, where the format fixes them (GGUF: 4); None: the model's float.
    capability : tuple of int
        Lowest CUDA compute capability with a kernel in vLLM.
    vllm : str
        vLLM's word for a checkpoint of this scheme, or for making it while loading; empty means leave it out.
    online : bool
        Whether vLLM makes it from a 16-bit checkpoint while loading.
    family : str
        Row of ``data/formats/engines.csv`` and ``loading.csv``: which engines load it, and how.
    note : str
        What else a reader should know.
    kernel_multiples : tuple of int
        Multiples of inputs and outputs a matrix is padded to on a GPU (vLLM's MXFP4 kernels); not in the checkpoint.
    """

    id: str
    title: str
    format: Format
    compute: str = "bf16"
    roles: frozenset[str] = LINEAR
    rules: tuple[Rule, ...] = ()
    cache_bytes: int = 0
    vector_bytes: int | None = None
    capability: tuple[int, int] = (0, 0)
    vllm: str = ""
    online: bool = False
    family: str = ""
    note: str = ""
    kernel_multiples: tuple[int, int] = (1, 1)

    @property
    def bits(self) -> float:
        """Bits of one weight in the main format, scales apart."""
        return self.format.bits

    @property
    def quantized(self) -> bool:
        """Whether it stores weights in anything but a plain float of 16 or 32 bits."""
        return self.family != "float"

    @property
    def group_size(self) -> int:
        """Inputs that share a scale: 0 for a channel, -1 for a whole matrix (and for formats without groups)."""
        return int(getattr(self.format, "group_size", -1))

    @property
    def block(self) -> tuple[int, int] | None:
        """Outputs × inputs that share a scale, where the main format has such blocks."""
        found: tuple[int, int] | None = getattr(self.format, "block", None) if self.group_size >= 0 else None
        return found

    @property
    def mixed(self) -> bool:
        """Whether different matrices are stored in different formats, so that one number does not size them."""
        return any(rule.format not in (None, self.format) for rule in self.rules)

    @property
    def by_layer(self) -> bool:
        """Whether the same module can be stored differently in two layers."""
        return any(rule.modules.by_layer for rule in self.rules)

    def stored_as(self, weight: Weight, layer: int | None = None, model: Model | None = None) -> Format | None:
        """How a matrix is stored; None if it keeps the model's float.

        Parameters
        ----------
        weight : Weight
        layer : int, optional
            Which layer it is in. Without it, what holds in any layer holds here.
        model : Model, optional
            Needed by schemes that look at the model as a whole (GGUF files).
        """
        if not self.quantized or not weight.inputs:
            return None
        for rule in self.rules:
            if rule.modules.has(weight.name, layer):
                return rule.format
        return self.format if weight.role in self.roles else None

    def applies_to(self, weight: Weight, layer: int | None = None, model: Model | None = None) -> bool:
        """Whether this matrix is quantised, rather than kept in the model's own float."""
        return self.stored_as(weight, layer, model) is not None

    def matrix_bytes(
        self,
        inputs: int,
        outputs: int,
        weight: Weight | None = None,
        layer: int | None = None,
        model: Model | None = None,
    ) -> float:
        """Stored bytes of one quantised matrix, scales, zeros and indices included [B].

        Parameters
        ----------
        inputs, outputs : int
            Its shape, or its share of it on one GPU.
        weight, layer, model
            Which matrix it is, as in :meth:`stored_as`; a scheme of several formats needs to know.

        Raises
        ------
        UnsupportedModel
            If the scheme has several formats and the weight is not given, or is one it does not quantise.
        """
        if weight is None:
            if self.mixed:
                raise UnsupportedModel(f"{self.title} stores matrices in several formats and cannot be sized by one")
            return self.format.matrix_bytes(inputs, outputs)
        chosen = self.stored_as(weight, layer, model)
        if chosen is None:
            raise UnsupportedModel(f"{self.title} leaves {weight.name} in the model's float")
        return chosen.matrix_bytes(inputs, outputs)

    def with_format(self, **changes: Any) -> Scheme:
        """The scheme with other parameters of its main format.

        >>> from workbench.formats import scheme
        >>> scheme("awq").with_format(group_size=64).group_size
        64
        """
        return replace(self, format=replace(self.format, **changes))  # type: ignore[type-var]
