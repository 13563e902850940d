"""What llama.cpp's log says: how far its server has come, and what memory it took.

The wordings are those of llama.cpp at the commit in llama-cpp-python 0.3.36, and Uvicorn's. Sizes are printed in MiB
with two decimals.

A processor's kernels want some types in an order of their own (``ggml-cpu/repack.cpp``): such a tensor is copied into a
buffer called REPACK, and its pages of the mapped file, which are still counted with the file's, can be taken back by
the system. What must stay in memory is then the file's size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from workbench.engines.vllm.logs import MemoryReport, strip_ansi
from workbench.quantities import GIB, MIB

#: In the order in which a start passes them; "environment" is ours.
STAGES: dict[str, str] = {
    "environment": "preparing",
    "starting": "starting llama.cpp",
    "loading": "loading the weights",
    "caching": "making the KV cache",
    "listening": "opening the API",
    "ready": "ready",
}
_SIGNS = (
    ("ready", re.compile(r"Application startup complete|Uvicorn running on")),
    ("listening", re.compile(r"Started server process|Available chat formats from metadata|Using gguf chat template")),
    ("caching", re.compile(r"^llama_context: |^llama_kv_cache")),
    ("loading", re.compile(r"^llama_model_loader: |^load_tensors: |^print_info: ")),
)
#: What a line adds to: a buffer on each device.
_BUFFERS = (
    ("weights", re.compile(r"^load_tensors: +\S+ model buffer size = +([\d.]+) MiB")),
    ("kv_cache", re.compile(r"^llama_kv_cache\w*: +\S+ KV buffer size = +([\d.]+) MiB")),
    ("activation_peak", re.compile(r"compute buffer size = +([\d.]+) MiB")),
)
_REPACKED = re.compile(r"^load_tensors: +\S+_REPACK model buffer size")
_FILE = re.compile(r"^print_info: file size += ([\d.]+) (MiB|GiB)")
#: Half of the last digit, of the four buffers that a quantity is made of at most.
_ROUNDING = 4 * 0.005 * MIB
_CONTEXT = re.compile(r"^llama_context: n_ctx += (\d+)")


@dataclass
class LogReader:
    """Reads a log line by line: :attr:`stage`, and :meth:`report`.

    Examples
    --------
    >>> reader = LogReader()
    >>> for line in ("llama_context: n_ctx         = 4096", "llama_kv_cache:        CPU KV buffer size =     8.00 MiB"):
    ...     _ = reader.feed(line)
    >>> reader.stage, reader.report().kv_cache_tokens, reader.report().kv_cache
    ('caching', 4096, 8388608)
    """

    stage: str = "starting"
    share: float | None = None
    _bytes: dict[str, float] = field(default_factory=dict)
    _tokens: int | None = None
    _file: float | None = None
    _repacked: bool = False

    def feed(self, text: str) -> bool:
        """Take in one line; True where the stage moved."""
        line = strip_ansi(text)
        for name, sign in _BUFFERS:
            if match := sign.search(line):
                self._bytes[name] = self._bytes.get(name, 0.0) + float(match[1]) * MIB
        if match := _CONTEXT.search(line):
            self._tokens = int(match[1])
        if match := _FILE.search(line):
            self._file = float(match[1]) * (GIB if match[2] == "GiB" else MIB)
        self._repacked |= bool(_REPACKED.search(line))
        stage = next((stage for stage, sign in _SIGNS if sign.search(line)), self.stage)
        order = list(STAGES)
        if order.index(stage) <= order.index(self.stage):
            return False
        self.stage = stage
        return True

    def report(self) -> MemoryReport:
        """What has been said up to now."""
        sizes = {name: round(size) for name, size in self._bytes.items()}
        if self._repacked and self._file is not None:
            sizes["weights"] = min(sizes["weights"], round(self._file))
        return MemoryReport(
            device="CPU" if sizes else None,
            weights=sizes.get("weights"),
            kv_cache=sizes.get("kv_cache"),
            activation_peak=sizes.get("activation_peak"),
            kv_cache_tokens=self._tokens if "kv_cache" in sizes else None,
            rounding=_ROUNDING,
        )
