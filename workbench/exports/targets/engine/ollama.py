"""Ollama, which runs llama.cpp's files: a Modelfile, the script that makes a model of it, the one that serves it.

What a Modelfile cannot say is the server's: slots, the cache's format, spreading over GPUs.

References
----------
https://docs.ollama.com/modelfile, https://docs.ollama.com/faq (``OLLAMA_NUM_PARALLEL``, ``OLLAMA_KV_CACHE_TYPE``,
``OLLAMA_FLASH_ATTENTION``, ``OLLAMA_KEEP_ALIVE``, ``OLLAMA_HOST``), github:ollama/ollama ``envconfig/config.go``
(``OLLAMA_SCHED_SPREAD``), ``api/types.go`` (``num_batch``, ``num_gpu``).
"""

from __future__ import annotations

import unicodedata

from workbench.exports.checks.modelfile import quoted
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.writing import command, script

_CACHES = ("auto", "f16", "q8_0", "q4_0")


def _source(subject: Subject) -> str:
    """Path of the checkpoint, relative ones to the Modelfile."""
    path = subject.model_path
    return path if path.startswith(("/", "./", "../")) else f"./{path}"


def _option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1] if name in words else ""


def files(subject: Subject) -> list[File]:
    """A Modelfile with the plan's context, batch and layers; scripts that serve and create."""
    deployment, words = subject.plan.deployment, subject.plan.words
    lines = [
        "# Ollama's words for the plan: context of one slot, physical batch, layers on the GPU.",
        f"FROM {quoted(_source(subject))}",
        f"PARAMETER num_ctx {subject.max_model_len}",
        f"PARAMETER num_gpu {_option(words, '--n-gpu-layers')}",
    ]
    if deployment.max_num_batched_tokens:
        lines.append(f"PARAMETER num_batch {deployment.max_num_batched_tokens}")
    server = [
        f"export OLLAMA_HOST=127.0.0.1:{subject.wishes.port}",
        "# One model, never unloaded, with so many slots.",
        "export OLLAMA_MAX_LOADED_MODELS=1 OLLAMA_KEEP_ALIVE=-1",
        f"export OLLAMA_NUM_PARALLEL={deployment.max_num_seqs or 1}",
    ]
    if deployment.kv_cache_dtype != "auto":
        server += [
            "# The cache's format, which needs flash attention.",
            f"export OLLAMA_KV_CACHE_TYPE={deployment.kv_cache_dtype} OLLAMA_FLASH_ATTENTION=1",
        ]
    if deployment.pipeline_parallel_size > 1:
        server += ["# Its layers over all GPUs, even where one would do.", "export OLLAMA_SCHED_SPREAD=1"]
    create = [
        f"export OLLAMA_HOST=127.0.0.1:{subject.wishes.port}",
        command(["ollama", "create", subject.name, "-f", "ollama/Modelfile"]),
    ]
    return [
        File("ollama/Modelfile", "modelfile", "\n".join(lines) + "\n", language="dockerfile"),
        File("ollama/serve.sh", "shell", script("\n".join(server), "exec ollama serve"), executable=True),
        File("ollama/create.sh", "shell", script("\n".join(create)), executable=True),
    ]


def obstacle(subject: Subject) -> str | None:
    """What Ollama cannot be told."""
    deployment = subject.plan.deployment
    if subject.outgrows:
        return subject.outgrows
    if deployment.kv_cache_dtype not in _CACHES:
        return f"kv_cache_dtype {deployment.kv_cache_dtype}: Ollama takes {', '.join(_CACHES[1:])}"
    if deployment.swa_full:
        return "swa_full: Ollama has no such option"
    if any(sign in subject.model_path for sign in "*?["):
        return "model_path has a sign that a Modelfile takes for a pattern (*, ? or [)"
    if any(sign != " " and unicodedata.category(sign) == "Zs" for sign in subject.model_path):
        return "model_path has a space that Ollama drops; rename it with plain ones"
    return None


def steps(subject: Subject) -> list[str]:
    """Serve, create, ask."""
    return [
        "Install Ollama from https://ollama.com/download.",
        f"The checkpoint must lie at `{subject.model_path}`, a relative path counted from the Modelfile.",
        "Run `ollama/serve.sh`, then once, from the folder of this README, `ollama/create.sh`.",
        f"Clients name the model `{subject.name}`. Ollama asks for no key: put a proxy that does in front of it.",
        "Ollama brings its own release of llama.cpp: what it takes besides weights and cache may differ from the plan.",
    ]


TARGET = Target(
    id="ollama",
    title="Ollama",
    about="A Modelfile of the GGUF file, and what Ollama's server takes from its environment.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    instead=True,
    source="https://docs.ollama.com/modelfile",
    without=only("llama.cpp", because="Ollama runs GGUF files; plan for llama.cpp"),
)
