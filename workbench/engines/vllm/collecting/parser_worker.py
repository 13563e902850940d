"""Read the real parser of ``vllm serve`` and print what it takes: run by a Python that can import vLLM.

``python parser_worker.py [FOLDER]``: the parser of the installed vLLM, or of the release whose Python files lie in
FOLDER, imported before the installed one. Prints one line of JSON, beginning with RESULT; then where vLLM's files lie.
Standard library and vLLM only: the environment that runs this does not hold the workbench.

An older release is asked inside an environment made for a newer one, so what it imports may be missing or may have
moved. Importing goes on with a stand-in for it, which is good enough for arguments: those are made by vLLM's own files
and argparse.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import inspect
import json
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

#: Where releases keep what builds the parser, newest first.
_MAKERS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
_PARSERS = ("vllm.utils.argparse_utils", "vllm.utils")
#: Older releases end an import where a compiled part of theirs is missing.
_COMPILED = ("vllm._C", "vllm._moe_C", "vllm.vllm_flash_attn", "vllm._rocm_C", "vllm.cumem_allocator")

#: By these a release tells what machine it is on; a stand-in would be taken for one that is not there.
_MACHINES = {
    "libtpu", "tpu_info", "tpu_commons", "tpu_inference", "torch_xla", "amdsmi", "habana_frameworks", "torch_neuronx",
    "transformers_neuronx", "neuronxcc", "neuronx_distributed_inference", "libneuronxla", "openvino", "pynvml",
    "intel_extension_for_pytorch",
}  # fmt: skip


#: What a stand-in's classes can do: be made of anything, called, indexed and gone through.
_ANYTHING: dict[str, Any] = {
    "__init__": lambda self, *given, **named: None,
    "__call__": lambda self, *given, **named: self,
    "__class_getitem__": lambda item: item,
    "__iter__": lambda self: iter(()),
}


class _StandIn(ModuleType):
    """A module that has every name: each is a class of its own, so that it can be inherited, called and annotated."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = type(name, (), dict(_ANYTHING))
        setattr(self, name, found)
        return found


class _Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: what a file of the release asks for, and nobody has, is a stand-in.

    Other libraries are left to do without what they do without.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.used: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] in _MACHINES:
            return None
        inside = name.split(".")[0] in self.used  # a part of a stand-in
        own = name.startswith("vllm.") and not name.startswith(_COMPILED)
        if own or (not inside and not self._asked_by_the_release()):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def _asked_by_the_release(self) -> bool:
        frame = sys._getframe(2)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back  # type: ignore[assignment]
        return frame is not None and frame.f_code.co_filename.startswith(self.folder)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        self.used.append(spec.name)
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def _first(modules: Sequence[str], name: str, otherwise: Any = None) -> Any:
    """The first of these modules' own that can be had."""
    said = []
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            said.append(f"{module}: {error}")
    if otherwise is None:
        raise SystemExit(f"no {name}: " + "; ".join(said))
    return otherwise


def _kind(action: argparse.Action) -> str:
    """The word for what a value is read as: see ``engines/vllm/schema.py``."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if action.nargs == 0:
        return "flag"
    return _reads(action.type)


def _reads(reader: Any) -> str:
    """What a converter makes of text; those made by a function hold the real one in their closure."""
    if reader is None or reader is str:
        return "str"
    if reader in (int, float):
        return str(reader.__name__)
    if reader is json.loads:
        return "json"
    if isinstance(reader, type):
        return "str"
    name = getattr(reader, "__qualname__", "")
    for word, kind in (
        ("human_readable_int_or_auto", "size or auto"),
        ("human_readable_int", "size"),
        ("parse_dataclass", "object"),
        ("union_dict_and_str", "text or json"),
        ("nullable_str", "str"),
        ("from_cli", "text or json"),
        ("nullable_kvs", "str"),
    ):
        if word in name:
            return kind
    if name.startswith(("optional_type", "parse_type")) or "<locals>" in name:
        held = [cell.cell_contents for cell in reader.__closure__ or ()]
        return next((_reads(inner) for inner in held if callable(inner)), "str")
    return "str"


def _takes_none(reader: Any) -> bool:
    """Whether "None" is read as nothing."""
    return getattr(reader, "__qualname__", "").startswith(("optional_type", "nullable_str"))


def _listed(action: argparse.Action) -> list[str]:
    """Values named in the help of an option that takes others too."""
    named: str | list[str] | tuple[str, ...] | None = action.metavar
    if isinstance(named, str) and named.startswith("{"):
        named = named[1 : named.find("}")].split(",")
    if _kind(action) == "object":
        return _keys(action.type)
    if action.choices is None and isinstance(named, (list, tuple)):
        return [str(_plain(value)) for value in named]
    if action.dest == "quantization" and action.choices is None:
        return [str(value) for value in _quantization()]
    return []


def _keys(reader: Any, depth: int = 4) -> list[str]:
    """Keys of the object that a converter makes: fields of the class that it holds."""
    held = [*(getattr(reader, "__defaults__", None) or ()), *(getattr(reader, "__kwdefaults__", None) or {}).values()]
    held += [cell.cell_contents for cell in getattr(reader, "__closure__", None) or ()]
    for inner in held:
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            return sorted(field.name for field in dataclasses.fields(inner) if field.init)
        if callable(inner) and not isinstance(inner, type) and depth and (found := _keys(inner, depth - 1)):
            return found
    return []


def _quantization() -> list[str]:
    """Methods that the release has built in."""
    try:
        module = importlib.import_module("vllm.model_executor.layers.quantization")
        return list(module.QUANTIZATION_METHODS)
    except Exception as error:
        print(f"quantization: {error}", file=sys.stderr)
        return []


def _plain(value: Any) -> Any:
    """A default as JSON holds it; None for an object that has no text of its own."""
    if value is None or value == argparse.SUPPRESS:
        return None
    if isinstance(value, (bool, int, str)) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return None


def _fields() -> set[str]:
    """Names that ``LLM(...)`` and the engine's arguments take in Python."""
    module = importlib.import_module("vllm.engine.arg_utils")
    names = {field.name for field in dataclasses.fields(module.AsyncEngineArgs)}
    try:
        made = importlib.import_module("vllm.entrypoints.llm").LLM.__init__
        names |= set(inspect.signature(made).parameters) - {"self", "kwargs"}
    except Exception as error:
        print(f"vllm.entrypoints.llm: {error}", file=sys.stderr)
    return names


def options(parser: argparse.ArgumentParser, python: set[str]) -> list[dict[str, Any]]:
    """Every option of the parser as plain values, by name."""
    words: dict[int, list[str]] = {}
    actions = {}
    for word, action in parser._option_string_actions.items():
        words.setdefault(id(action), []).append(word)
        actions[id(action)] = action
    deprecated = {id(action) for action in getattr(parser, "_deprecated", ())}
    found = []
    for key, action in actions.items():
        if isinstance(action, argparse._HelpAction) or "--config" in words[key]:
            continue
        own = [word for word in words[key] if word.startswith("--")]
        switch = isinstance(action, argparse.BooleanOptionalAction)
        hidden = getattr(action, "negative_option_strings", None)
        no = set(hidden) if hidden is not None else {word for word in own if switch and word.startswith("--no-")}
        plain = [word for word in own if word not in no]
        named = "--" + action.dest.replace("_", "-")
        name = named if named in plain else plain[0]
        found.append(
            {
                "option": name,
                "field": action.dest,
                "kind": _kind(action),
                "nargs": "" if action.nargs in (None, 0) else str(action.nargs),
                "choices": [str(_plain(choice)) for choice in action.choices] if action.choices else [],
                "named": _listed(action),
                "none": _takes_none(action.type),
                "default": _plain(action.default),
                "aliases": sorted(word for word in words[key] if word not in no and word != name),
                "negative": sorted(no),
                "deprecated": key in deprecated or bool(getattr(action, "deprecated", False)) or _says_so(action),
                "python": action.dest in python,
            }
        )
    return sorted(found, key=lambda option: str(option["option"]))


def _says_so(action: argparse.Action) -> bool:
    """Whether the help begins by saying that the option is deprecated."""
    said = (action.help or "").strip().casefold()
    return said.startswith(("deprecated", "[deprecated", "(deprecated", "[rocm only, deprecated"))


def main(words: Sequence[str]) -> int:
    """Print the parser's options; 0 unless vLLM cannot be imported."""
    missing = _Missing(words[0] if words else "")
    if words:
        sys.path.insert(0, words[0])
        sys.meta_path.append(missing)
        sys.modules["triton"] = None  # type: ignore[assignment]  # kernels of another release; vLLM does without
        # configurations that a newer transformers has of its own
        importlib.import_module("transformers").AutoConfig.register = lambda *given, **named: None
    parser = _first(_PARSERS, "FlexibleArgumentParser", argparse.ArgumentParser)()
    make = _first(_MAKERS, "make_arg_parser")
    if words and not str(importlib.import_module("vllm").__file__).startswith(words[0]):
        raise SystemExit(f"{words[0]} holds no vllm")
    made = make(parser) if inspect.signature(make).parameters else make()
    python = _fields()
    found = options(made, python)
    more = sorted(python - {option["field"] for option in found})
    version = "" if words else importlib.metadata.version("vllm")
    variables = list(importlib.import_module("vllm.envs").environment_variables)
    result = {
        "version": version,
        "folder": str(importlib.import_module("vllm").__path__[0]),
        "options": found,
        "python_only": more,
        "variables": sorted(variables),
    }
    print("RESULT " + json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
