"""``Llama(…)`` of llama-cpp-python: its arguments against those that the library has, and the plan it describes."""

from __future__ import annotations

from workbench.translation import described, published
from workbench.translation.pasted import Lines, Pasted, Setting
from workbench.translation.programs import options
from workbench.translation.result import LOST, Change, Part

_SOURCE = "llama-cpp-python 0.3.36: llama_cpp/llama.py, data/engines/programs"

#: Arguments that ``llama-server`` has as well: the line that serves the same file so.
_SERVED = {
    "model_path": "--model", "n_ctx": "--ctx-size", "n_threads": "--threads", "n_gpu_layers": "--n-gpu-layers",
    "n_batch": "--batch-size", "n_ubatch": "--ubatch-size", "seed": "--seed",
}  # fmt: skip


def part(pasted: Pasted, lines: Lines) -> Part:
    """What of a call the library reads; what it does not know it passes over in silence."""
    changes = [_judged(setting, pasted, lines) for setting in pasted.settings]
    kept = [setting for setting, change in zip(pasted.settings, changes, strict=True) if change.status not in LOST]
    given = "".join(f"    {setting.name}={_written(setting)},\n" for setting in kept)
    model, fields = described.fields("Llama", {setting.name: setting.values for setting in kept if setting.known}, ())
    words = ["llama-server"]
    for setting in kept:
        if setting.known and (option := _SERVED.get(setting.name)):
            words += [option, setting.values[0]]
    return Part(
        "python", "llama.cpp", "", tuple(changes), tuple(words), f"Llama(\n{given})\n", pasted.remarks, model, fields,
        lines[pasted.start],
    )  # fmt: skip


def _written(setting: Setting) -> str:
    """A value as Python writes it."""
    option = options("Llama").get(setting.name)
    value = setting.values[0] if setting.values else "None"
    if not setting.known or value == "None":
        return value
    if option is not None and option.takes == "bool":
        return str(value == "true")
    return value if option is not None and option.takes in ("int", "number") else repr(value)


def _judged(setting: Setting, pasted: Pasted, lines: Lines) -> Change:
    place = (lines[setting.start], setting.start, setting.end)
    value = " ".join(setting.values)
    option = options("Llama").get(setting.name)
    if option is None:
        text = "the library has no such argument and passes over it"
        return Change(setting.name, value, "unknown", "", text, _SOURCE, *place)
    if setting.known and value != "None" and (why := option.wrong(value)):
        return Change(setting.name, value, "wrong", "", why, _SOURCE, *place)
    text = _layers(setting, pasted) if setting.name == "n_gpu_layers" else ""
    return Change(setting.name, value, "kept", value, text, _SOURCE, *place)


def _layers(setting: Setting, pasted: Pasted) -> str:
    """How many of a bundled model's layers that is, the output's counted as one."""
    from workbench.architecture import Model, catalog

    file = next((one.values[0] for one in pasted.settings if one.name == "model_path" and one.values), None)
    name = published.model(file)
    if name not in catalog.names() or not setting.values[0].isdigit():
        return ""
    whole = len(Model.from_config(str(name)).pattern) + 1
    return f"{whole} are all of {name}'s" if int(setting.values[0]) >= whole else f"of {name}'s {whole}"
