"""Which GGUF file is meant, and the order that starts llama.cpp on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import cpu, headers
from workbench.deployment import Deployment
from workbench.engines.llama_cpp.engine import line
from workbench.engines.llama_cpp.launch import ENVIRONMENT
from workbench.engines.starters import LLAMA_CPP
from workbench.errors import InvalidInput, UnknownName, UnsupportedModel
from workbench.headers.gguf import file_type, parts
from workbench.planner import Plan, plan
from workbench.serving.lifecycle import Order

ENGINE = "llama.cpp"


def meant(target: str | Path, kind: str | None = None) -> Path | None:
    """The GGUF file that a path names: itself, or the one in a folder that holds nothing else to load.

    Parameters
    ----------
    target : str or Path
        A file, or a folder.
    kind : str, optional
        File type that is looked for where a folder holds several.

    Returns
    -------
    Path or None
        None where it names no GGUF file.

    Raises
    ------
    InvalidInput
        If the file is missing, or a folder holds several and it cannot be told which.
    """
    place = Path(target).expanduser()
    if place.suffix == ".gguf":
        if not place.is_file():
            raise InvalidInput(f"there is no file {place}")
        return parts(place)[0].resolve()
    if not place.is_dir() or any(place.glob("*.safetensors*")):
        return None
    firsts = sorted({parts(file)[0] for file in place.glob("*.gguf")})
    if kind is not None and len(firsts) > 1:
        firsts = [file for file in firsts if file_type(dict(headers.read(file).metadata)) == kind.casefold()] or firsts
    if len(firsts) > 1:
        raise InvalidInput(f"{place} holds several GGUF models; give one of the files, such as {firsts[0].name}")
    return firsts[0].resolve() if firsts else None


def on_this_machine(named: str, kind: str | None) -> Path:
    """The file that a plan for llama.cpp is started with, by the name of its checkpoint.

    Raises
    ------
    InvalidInput
        If there is none on this machine.
    """
    for target in (named, f"{named}.gguf"):
        if Path(target).expanduser().exists() and (file := meant(target, kind)) is not None:
            return file
    raise InvalidInput(
        f"llama.cpp loads GGUF files and {named} is none: make one (method gguf) and give it as checkpoint"
    )


def resolve(
    file: Path, source: Plan | None, arguments: Sequence[str], deployment: Mapping[str, Any]
) -> tuple[Plan | None, Order]:
    """What to start for a file, and the plan behind it where there can be one.

    Parameters
    ----------
    file : Path
        Read as far as its header, so that a truncated one is told at once.
    source : Plan, optional
        What was planned; else it is planned here, from the config.json beside the file.
    arguments : sequence of str
        Further options of the server, as they are.
    deployment : mapping
        Fields of the Deployment.

    Raises
    ------
    InvalidInput
        If the file is damaged or incomplete, or llama.cpp on this machine's processor is not what is asked for.
    """
    found = headers.read(file)
    if found.missing:
        raise InvalidInput(f"{file.parent} lacks {', '.join(found.missing)}; copy or download the other parts too")
    kind = file_type(dict(found.metadata))
    if source is not None:
        planned: Plan | None = source
        chosen = source.deployment
    else:
        fields = {"gpu": cpu.NAME, "quantization": _scheme(kind), **deployment, "engine": ENGINE}
        planned, chosen = _planned(file, fields)
    if not cpu.is_cpu(chosen.gpu):
        raise InvalidInput(
            f"the llama.cpp that is started from here computes on the processor and the plan is for {chosen.gpu}; plan "
            "with gpu='cpu', or run plan.command with a build for that card"
        )
    length = chosen.max_model_len or _context(found.metadata)
    words = line(replace(chosen, n_gpu_layers=0), str(file), length, 0)
    order = Order(command=(*words, *arguments), environment=ENVIRONMENT, offline=True, engine=LLAMA_CPP)
    return planned, order


def _planned(file: Path, fields: dict[str, Any]) -> tuple[Plan | None, Deployment]:
    """A plan, if the configuration lies beside the file and says enough."""
    if (file.parent / "config.json").is_file():
        try:
            made = plan(file.parent, **fields)
            return made, made.deployment
        except (UnknownName, UnsupportedModel):
            pass
    return None, Deployment(**fields)


def _scheme(kind: str | None) -> str | None:
    """A file type as a Deployment names it."""
    return f"gguf_{kind}" if kind in ("f32", "f16", "bf16") else kind


def _context(metadata: Mapping[str, Any]) -> int:
    length = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    return length if isinstance(length, int) and length > 0 else 2048
