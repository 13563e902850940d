"""What is exported: a plan and wishes as plain values, which every target writes in its own words."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from workbench import builtin, hub
from workbench.errors import InvalidInput
from workbench.exports import names
from workbench.exports.file import File
from workbench.exports.server import Server
from workbench.exports.servers import server
from workbench.exports.wishes import Wishes
from workbench.planner import Plan
from workbench.planner.plan import Performance
from workbench.quantities import GIB

#: Where checkpoints, downloads and configuration lie in a container.
MODELS, CACHE, CONFIGURATION = "/models", "/cache", "/configuration"
#: Environment variables that hold secrets: files name them and never hold one.
TOKEN, KEY = "HF_TOKEN", "API_KEY"
#: An engine that starts profiles, compiles and captures besides reading its weights: as long again and four minutes,
#: and never less than ten. A start that is given up too early never ends.
_START = (2.0, 240.0, 600.0)
#: Between which a proxy gives an answer up [s]. OpenAI's client waits ten minutes unless it is told otherwise
#: (github:openai/openai-python src/openai/_constants.py ``DEFAULT_TIMEOUT``); after an hour nobody waits any more.
_ANSWER = (600, 3600)
#: A request's bytes: of a token as JSON, escapes and long words included, and of the images of one that can see [MiB].
#: Choices of ours.
_TOKEN_BYTES, _IMAGES = 16, 32


@dataclass(frozen=True)
class Subject:
    """A plan to be exported.

    Parameters
    ----------
    plan : Plan
        One that fits.
    wishes : Wishes
        Names, ports, replicas.

    Raises
    ------
    InvalidInput
        If the plan does not fit, or its model has a name that no file can hold.
    """

    plan: Plan
    wishes: Wishes = field(default_factory=Wishes)

    def __post_init__(self) -> None:
        if not self.plan.fits:
            raise InvalidInput(f"the plan does not fit ({self.plan.verdict}); export one that starts")
        names.plain("the model's name", self.plan.checkpoint)

    @property
    def engine(self) -> str:
        """The engine, in a Deployment's word."""
        return self.plan.deployment.engine

    @cached_property
    def server(self) -> Server:
        """The engine as those who deploy it see it."""
        return server(self.engine)

    @cached_property
    def name(self) -> str:
        """What the deployment is called, a DNS label."""
        return self.wishes.name or names.made(self.plan.model.id)

    @cached_property
    def from_hub(self) -> bool:
        """Whether the engine fetches the model itself; else a folder of it must lie where it runs."""
        plan = self.plan
        own = self.wishes.model_path is None and plan.model.folder is None and plan.checkpoint == plan.model.id
        return own and plan.model.id != builtin.NAME and hub.is_id(plan.model.id) and self.engine != "llama.cpp"

    @cached_property
    def model_path(self) -> str:
        """Folder or file of the checkpoint on the machine that runs it; "" for a hub model."""
        if self.from_hub:
            return ""
        path = self.wishes.model_path or self.plan.checkpoint
        return path if self.engine != "llama.cpp" or path.endswith(".gguf") else f"{path}.gguf"

    @cached_property
    def mounted(self) -> str:
        """The same within a container; the hub's id for a hub model."""
        return self.plan.model.id if self.from_hub else f"{MODELS}/{PurePosixPath(self.model_path).name}"

    @property
    def unsaid(self) -> str | None:
        """What of the plan the engine's start line and its files cannot say, naming the field; None if they can."""
        why = self.server.obstacle(self.plan)
        return f"{self.engine} cannot be told {why}" if why else None

    @property
    def folder(self) -> str:
        """Folder of the bundle with the engine's own files, those that its start line names among them."""
        return self.engine.replace(".", "-")

    @property
    def words(self) -> list[str]:
        """The start line on a machine of one's own, without an address; files by their place in the bundle."""
        return self._line(self.plan.model.id if self.from_hub else self.model_path, self.folder)

    @property
    def arguments(self) -> list[str]:
        """The start line in a container of the engine's image, its address with it, without what the image runs.

        Every interface is listened on: who may connect is the container's affair.
        """
        words, entry = self._line(self.mounted, CONFIGURATION), list(self.server.entrypoint)
        if words[: len(entry)] == entry:
            words = words[len(entry) :]
        return [*words, *self.server.address("0.0.0.0", self.wishes.port)]

    def _line(self, model: str, folder: str) -> list[str]:
        """The plan's words with the model and the files where they lie."""
        plain = list(self.server.words(self.plan))
        there = self.plan.checkpoint if self.engine != "llama.cpp" else f"{self.plan.checkpoint}.gguf"
        if there not in plain:
            raise InvalidInput(f"the start line of {self.engine} does not name the model {there}")
        at = plain.index(there)
        named = [*self.server.alias, self.name] if self.server.alias and not self.from_hub else []
        return [*plain[:at], model, *plain[at + 1 :], *named, *self.server.naming(folder), *self.server.options]

    @property
    def served(self) -> str:
        """What clients call the model: the hub's id, else the deployment's name where the engine takes one."""
        if self.from_hub:
            return self.plan.model.id
        if self.server.alias:
            return self.name
        return self.model_path if self.engine == "transformers" else PurePosixPath(self.model_path).name

    @property
    def image(self) -> str:
        """Container image with its tag; "" where nobody publishes one."""
        return self.wishes.image or self.server.image(self.plan.engine_version, self.on_cpu)

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on a processor."""
        return self.plan.card.name == "cpu" or self.plan.deployment.gpu == "cpu"

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return 0 if self.on_cpu else self.plan.deployment.gpus

    @property
    def configuration(self) -> list[File]:
        """Files that the start line names."""
        return list(self.server.configuration(self.plan))

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables of a container, none of them secret."""
        cache = {self.server.cache: CACHE} if self.from_hub else {"HF_HUB_OFFLINE": "1"}
        return {**self.server.variables, **cache}

    @property
    def key(self) -> str:
        """Environment variable that holds the key asked of clients; "" where the engine asks for none."""
        return self.server.key_variable or (KEY if self.server.key_words else "")

    @property
    def key_in_shell(self) -> str:
        """What a shell appends to the start line of an engine that takes its key from its line alone; else "".

        >>> import workbench as wb
        >>> Subject(wb.plan("Qwen/Qwen3-8B", "L40S", engine="sglang", max_model_len=8192)).key_in_shell.split()
        ['\\\\', '--api-key', '"$API_KEY"']
        """
        words = self.server.key_words
        return f' \\\n    {shlex.join(words)} "${KEY}"' if words else ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Environment variables of a container that must hold a secret: the key asked of clients.

        Where ``server.key_words`` has any, the container's line must end with these and the variable's value.
        """
        return (self.key,) if self.key else ()

    @property
    def token(self) -> str:
        """Environment variable that holds the hub's token, which gated models need; "" where nothing is fetched."""
        return TOKEN if self.from_hub else ""

    @cached_property
    def host_memory(self) -> int:
        """Host memory of one replica [GiB]: what loading needs at its upper bound, prompts kept and shared memory on
        top."""
        loading = self.plan.loading
        weights = self.plan.memory.weights.value * max(self.gpus, 1) if self.plan.memory else 0.0
        asked = loading.host.high if loading else weights + 4 * GIB
        if self.on_cpu and self.plan.memory is not None and loading is None:
            asked += self.plan.memory.kv_cache.value
        return math.ceil(asked / GIB) + self.server.host_cache + self.shared_memory

    @property
    def shared_memory(self) -> int:
        """Size of ``/dev/shm`` [GiB]: NCCL's buffers and the queues between the workers of several GPUs.

        NVIDIA advises 1 GiB at least for NCCL in containers, the default being 64 MiB
        (https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html, "Shared memory").
        """
        return max(1, 2 * self.gpus) if self.server.shared_memory else 0

    @cached_property
    def disk(self) -> int:
        """Disk of the checkpoint [GiB], a tenth more."""
        loading = self.plan.loading
        weights = self.plan.memory.weights.value * max(self.gpus, 1) if self.plan.memory else 0.0
        return math.ceil(1.1 * (loading.disk.high if loading else weights) / GIB)

    @cached_property
    def start_seconds(self) -> int:
        """How long a start may take before it is given up [s]."""
        factor, more, least = _START
        loading = self.plan.loading
        reading = loading.seconds[self.wishes.storage].high if loading else 0.0
        return math.ceil(max(factor * reading + more, least))

    @cached_property
    def first_start_seconds(self) -> int:
        """How long the first start may take [s]: a model from the hub is fetched before it is loaded.

        At the lowest speed of an object store in ``data/storage.csv``, that of a single connection.
        """
        loading = self.plan.loading
        if not self.from_hub or loading is None:
            return self.start_seconds
        return self.start_seconds + math.ceil(loading.seconds["object store"].high)

    @property
    def cores(self) -> int:
        """Cores that its processes keep busy: API servers, engine cores, a worker for each GPU, and what coordinates.

        A + DP + N, and one where DP > 1; A is DP unless it is said (https://docs.vllm.ai/en/stable/design/arch_overview,
        "V1 Process Architecture"; other engines divide the work alike). On a processor: all of this machine's, for
        which it was planned.
        """
        if self.on_cpu:
            return os.cpu_count() or 1
        replicas = self.plan.deployment.data_parallel_size
        return 2 * replicas + self.gpus + (replicas > 1)

    @property
    def machine_gpus(self) -> int:
        """GPUs of one machine."""
        return self.wishes.machine_gpus or self.plan.card.gpus_per_node

    @property
    def machines(self) -> int:
        """Machines that one replica takes."""
        return max(1, math.ceil(self.gpus / self.machine_gpus))

    @property
    def outgrows(self) -> str | None:
        """Why one machine does not hold it; None if it does."""
        if self.machines == 1:
            return None
        return (
            f"{self.gpus} GPUs are more than one machine has ({self.machine_gpus}; machine_gpus says how many): "
            "tensor_parallel_size and pipeline_parallel_size ask for several machines"
        )

    @property
    def user(self) -> int | None:
        """Number of the user, in group 0, that the engine's image can run as; None: only as root."""
        return None if self.wishes.image else self.server.user(self.plan.engine_version, self.on_cpu)

    @property
    def max_model_len(self) -> int:
        """Longest prompt and answer together [tokens]."""
        return self.plan.deployment.max_model_len or self.plan.model.max_model_len

    @cached_property
    def speed(self) -> Performance | None:
        """The plan's times under its own load; None where nothing is known of them."""
        return self.plan.performance()

    @cached_property
    def longest_answer(self) -> int:
        """How long one request may take before it is given up [s]: TTFT and a whole context of tokens, at their upper
        bounds; from ten minutes to an hour. An answer that is not streamed is silent for all of it."""
        (least, most), speed = _ANSWER, self.speed
        taken = speed.ttft.high + self.max_model_len * speed.tpot.high if speed else math.inf
        return math.ceil(min(max(taken, least), most))

    @property
    def largest_request(self) -> int:
        """Largest body of a request [MiB]: a whole context as JSON, images beside it where the model sees."""
        images = _IMAGES if self.plan.model.towers else 0
        return 1 + images + math.ceil(_TOKEN_BYTES * self.max_model_len / 2**20)

    @property
    def at_once(self) -> int:
        """Requests in flight that one replica was planned for."""
        speed, load = self.speed, self.plan.workload
        return max(1, load.concurrency or math.ceil(speed.running if speed and speed.running else 1))

    @property
    def addresses(self) -> list[str]:
        """Where the replicas listen, to be replaced where they are elsewhere: one port after another of this machine.

        Raises
        ------
        InvalidInput
            If there are more replicas than ports left.
        """
        first, last = self.wishes.port, self.wishes.port + self.wishes.replicas - 1
        if last > 65535:
            raise InvalidInput(f"port is {first}: {self.wishes.replicas} replicas do not find ports above it")
        return [f"127.0.0.1:{port}" for port in range(first, last + 1)]
