"""compressed-tensors checkpoints: groups of modules, each with a format of its own.

References
----------
compressed-tensors 0.17: ``compressors/*/base.py`` (which tensors a format writes), ``utils/match.py`` (targets),
``quantization/quant_args.py``. vLLM 0.32.0 ``compressed_tensors/compressed_tensors.py``.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.architecture.model import Model
from workbench.formats.checkpoint.fields import Fields
from workbench.formats.kinds import Format, Packed
from workbench.formats.modules import Modules
from workbench.formats.named import FP8_BLOCK, FP8_CHANNEL, FP8_TENSOR, INT8, MXFP4, MXFP8, NVFP4, SCHEMES, W4A16
from workbench.formats.scheme import LINEAR, Rule, Scheme

#: Classes of modules a group can name instead of paths, and the roles they stand for.
_CLASSES = {
    "Linear": LINEAR | {"lm_head"},
    "LinearBase": LINEAR | {"lm_head"},
    "RoutedExperts": frozenset({"expert"}),
    "FusedMoE": frozenset({"expert"}),
    "ParallelLMHead": frozenset({"lm_head"}),
    "Embedding": frozenset({"embedding"}),
    "VocabParallelEmbedding": frozenset({"embedding"}),
}
#: A scale is stored in the model's 16-bit float.
_SCALE = 16


def read(model: Model, fields: Fields) -> Scheme:
    """The groups of ``config_groups``: those that name modules decide before those that name a class.

    Raises
    ------
    UnsupportedModel
        Without groups, for a class that is not known, or for weights in a format that is not.
    """
    groups = [group for _, group in fields.items("config_groups") if not _only_attention(group)]
    if not groups:
        raise fields.unknown("config_groups")
    named: list[Rule] = []
    by_class: list[tuple[frozenset[str], Format]] = []
    for group in groups:
        stored = _format(group, fields)
        if stored is None:
            continue
        targets = group.names("targets") or ("Linear",)
        paths = [t for t in targets if t not in _CLASSES]
        for target in paths:
            if "." not in target and not target.startswith("re:") and not target[:1].islower():
                raise group.refuse(f"{group.where}.targets names the class {target[:80]!r}, which is not known")
        if paths:
            named.append(Rule(Modules(paths), stored))
        by_class += [(_CLASSES[t], stored) for t in targets if t in _CLASSES]
    if not by_class and not named:
        raise fields.refuse(f"{fields.where}.config_groups quantises no weights")
    if len({stored for _, stored in by_class}) > 1:
        raise fields.refuse(f"{fields.where}.config_groups has different formats for whole classes of modules")
    roles: frozenset[str] = frozenset().union(*(roles for roles, _ in by_class))
    if "ignore" not in fields.config or model.tied:
        roles = roles - {"lm_head"}
    main = by_class[0][1] if by_class else named[0].format
    assert main is not None
    rules = (Rule(Modules(fields.names("ignore")), None), *named)
    activations = any(group.get("input_activations") for group in groups)
    return replace(_scheme(main, activations, roles, rules), cache_bytes=_cache_bytes(model, fields))


def _cache_bytes(model: Model, fields: Fields) -> int:
    """A layer's scales of cached keys and values, ``k_scale`` and ``v_scale``: of the matrix or one a head."""
    cache = fields.inner("kv_cache_scheme")
    if cache is None or cache.get("dynamic", False) is not False:
        return 0
    heads = model.kv_heads if cache.text("strategy") == "attn_head" else 1
    return 2 * heads * _SCALE // 8


def _only_attention(group: Fields) -> bool:
    """Whether a group quantises attention itself, which is the KV cache's business."""
    targets = group.names("targets")
    return len(targets) == 1 and targets[0].endswith("Attention")


def _format(group: Fields, fields: Fields) -> Packed | None:
    """How a group stores its matrices; None if it quantises activations only."""
    weights = group.inner("weights")
    if weights is None:
        return None
    activations = group.inner("input_activations")
    kind, bits = weights.text("type", default="int"), weights.bits("num_bits", default=8)
    strategy = weights.text("strategy")
    size = weights.group("group_size", default=0)
    layout = group.text("format") or fields.text("format")
    static = activations is not None and activations.get("dynamic", False) is False  # or true, or "local"
    if kind == "float" and bits == 8:
        return _eight_bit_float(weights, strategy, size, static)
    if kind == "float" and bits == 4:
        if size == 16 or strategy == "tensor_group":
            return replace(NVFP4, tensor_bytes=8 if activations is not None else 4)
        if size == 32:
            return MXFP4
        raise weights.unknown("group_size")
    if kind != "int":
        raise weights.unknown("type")
    if strategy not in ("", "tensor", "channel", "group"):
        raise weights.unknown("strategy")
    group_size = -1 if strategy == "tensor" else size
    symmetric = weights.flag("symmetric", True)
    if activations is not None or layout in ("int-quantized", "naive-quantized"):
        # Whole bytes whatever the bits; a zero point is a byte too.
        return replace(
            INT8, group_size=group_size, zero_bits=0 if symmetric else 8, tensor_bytes=2 if static else 0,
            bits=8 if layout != "pack-quantized" else bits,
        )  # fmt: skip
    ordered = weights.get("actorder") in ("group", True)
    return replace(
        W4A16, id=f"int{bits}", bits=bits, group_size=group_size, zero_bits=0 if symmetric else bits,
        index_bits=32 if ordered else 0,
    )  # fmt: skip


def _eight_bit_float(weights: Fields, strategy: str, size: int, static: bool) -> Packed:
    per_input = 2 if static else 0
    if strategy == "block":
        block = weights.get("block_structure")
        if not (isinstance(block, (list, tuple)) and len(block) == 2 and all(type(n) is int and n > 0 for n in block)):
            raise weights.unknown("block_structure")
        return replace(FP8_BLOCK, block=(block[0], block[1]), scale_bits=_SCALE, tensor_bytes=per_input)
    if strategy == "channel":
        return replace(FP8_CHANNEL, scale_bits=_SCALE, tensor_bytes=per_input)
    if strategy == "group":
        if size == 32 and "uint8" in weights.text("scale_dtype"):
            return MXFP8
        return replace(FP8_CHANNEL, group_size=size, scale_bits=_SCALE, tensor_bytes=per_input)
    if strategy in ("", "tensor"):
        return replace(FP8_TENSOR, scale_bits=_SCALE, tensor_bytes=per_input)
    raise weights.unknown("strategy")


def _scheme(main: Format, activations: bool, roles: frozenset[str], rules: tuple[Rule, ...]) -> Scheme:
    """The named scheme that the main format belongs to, with this checkpoint's rules."""
    ids = {"fp8": "fp8", "mxfp8": "mxfp8", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "int8": "int8"}
    base = SCHEMES[ids.get(main.id, "w4a16")]
    if main.id == "int8" and not activations:
        base = SCHEMES["w8a16"]
    compute = {"fp8": "fp8", "mxfp8": "fp8", "nvfp4": "fp4", "mxfp4": "fp4", "int8": "int8"}.get(main.id, "bf16")
    title = base.title if main.bits in (8, base.bits) else f"W{main.bits:g}A16"
    return replace(
        base, title=title, format=main, compute=compute if activations else "bf16", roles=roles, rules=rules, vllm="",
        online=False, family="compressed-tensors", note="",
    )  # fmt: skip
