"""Options, metrics, programs and images: what the newest release's parser, and the translation, make of them."""

from __future__ import annotations

from workbench.audit.registry import computes
from workbench.audit.rules import Found, advice, number, statement
from workbench.engines.vllm import versions
from workbench.engines.vllm.schema import bundled, schema
from workbench.translation import Change, translate

SERVE = "vllm serve org/model "


def said(text: str, *only: str) -> Found:
    """What a text's words become in the newest release; of some of them where these are named."""
    made = translate(text, version=bundled()[-1])
    changes = [change for change in made.changes if not only or any(word in change.given for word in only)]
    assert changes, text
    return advice([change.status for change in changes], "; ".join(map(_told, changes)))


def _told(change: Change) -> str:
    """What became of one word."""
    word = f"{change.given} {change.value}".strip()
    if change.status == "renamed" and change.becomes:
        return f"{word} is now {change.becomes}"
    words = {"kept": "is still there", "default": "is so anyway", "renamed": "has another name", "removed": "is gone"}
    return f"{word} {words[change.status]}" if change.status in words else f"{word}: {change.text}"


@computes("C000-015", words="--quantization fp8")
@computes("C000-034", words="--use-v2-block-manager")
@computes("C000-035", "C004-042", words="--swap-space 8")
@computes("C000-036", words="--max-chunked-prefill-tokens 2048")
@computes("C000-038", words="--enable-prefix-caching --enable-chunked-prefill")
@computes("C000-039", words="--max-num-batched-tokens 16384")
@computes("C000-041", words="--scheduler-delay-factor 0.0")
@computes("C001-012", words="--quantization=awq --dtype=float16 --gpu-memory-utilization=0.9 --max-model-len=4096")
@computes("C002-031", words="--speculative-model org/draft --num-speculative-tokens 5")
@computes("C003-088", words="--speculative-model org/draft --num-speculative-tokens 5")
@computes("C003-089", words="--speculative-model [ngram] --num-speculative-tokens 5 --ngram-prompt-lookup-max 4")
@computes("C003-090", words="--speculative-model [mlp_speculator] --num-speculative-tokens 5")
def option(words: str) -> Found:
    """Options of ``vllm serve``."""
    return said(SERVE + words)


@computes("C002-032")
def draft_context() -> Found:
    """The option for the draft model's context, beside those it needs."""
    words = "--speculative-model org/draft --num-speculative-tokens 5 --speculative-max-model-len 4096"
    return said(SERVE + words, "--speculative-max-model-len")


@computes("C000-017", words="--load-format auto")
@computes("C002-023", words="--max-num-seqs 256 --max-num-batched-tokens 32768 --block-size 16 --dtype bfloat16")
def taken(words: str) -> Found:
    """Options that a guide only says to exist."""
    made = translate(SERVE + words, version=bundled()[-1])
    return statement(not made.lost, f"taken by {bundled()[-1]}" if not made.lost else made.lost[0].text)


@computes("C000-044", text="huggingface-cli download org/model --local-dir model", only="huggingface-cli")
@computes("C001-007", text="python -m auto_gptq.quantize --bits=4", only="auto_gptq")
@computes("C001-015", text="llama-server --model m.gguf --ctx-size=4096", only="--ctx-size")
@computes("C001-016", text="docker run ghcr.io/ggerganov/llama.cpp:server -c 4096", only="ghcr.io")
@computes("C001-025", text="python quantize.py --model_dir m --qformat int8_sq", only="quantize.py")
@computes("C001-026", text="LOAD_IN_8BIT=true vllm serve org/model", only="LOAD_IN_8BIT")
@computes("C002-043", text="tritonserver --model-repository=m --backend-config=vllm,cmdline_args=x", only="--backend")
@computes("C003-030", text="git clone https://github.com/ggml-org/llama.cpp && cd llama.cpp && make -j", only="make")
@computes(
    "C003-031", text="llama-cli -m m.gguf\nllama-server -m m.gguf\nllama-quantize a.gguf b.gguf Q4_K_M", only="llama-"
)
@computes("C003-044", text="text-generation-launcher --model-id m --max-input-length 4096", only="--max-input-length")
@computes("C003-068", text="trtllm-build --gemm_plugin fp8", only="trtllm-build")
@computes("C004-076", text="./quantize a.gguf b.gguf Q4_K_M\n./main -m b.gguf -p hello", only="./")
def command(text: str, only: str) -> Found:
    """Programs, images and variables that are called otherwise now, or never were."""
    return said(text, only)


@computes("C004-070")
def engines_built() -> Found:
    """The three steps to an engine of TensorRT-LLM."""
    text = "python convert_checkpoint.py --model_dir m\ntrtllm-build --checkpoint_dir c\npython run.py --engine_dir e"
    return said(text, "convert_checkpoint.py", "trtllm-build", "run.py")


@computes("C002-024", "C004-045")
def server() -> Found:
    """The module that starts the server, which warns."""
    made = translate("python -m vllm.entrypoints.openai.api_server --model org/model", version=bundled()[-1])
    remark = next((text for part in made.parts for text in part.remarks if "deprecated" in text), "")
    return Found(remark.partition(" (")[0] or "as it is", None, "outdated" if remark else "correct")


@computes("C004-057", name="vllm:num_requests_running")
@computes("C004-058", name="vllm:gpu_cache_usage_perc")
@computes("C004-059", name="vllm:avg_generation_throughput_toks_per_s")
@computes("C004-060", name="vllm:avg_time_to_first_token_seconds")
@computes("C004-061", name="vllm:avg_time_per_output_token_seconds")
@computes("C004-062", name="rate(vllm:num_requests_running[1m])")
def metric(name: str) -> Found:
    """Metrics of the server, and what is made of them."""
    return said(name)


@computes("C004-046", names=("VLLM_USE_MODELSCOPE", "VLLM_LOGGING_LEVEL"))
def variables(names: tuple[str, ...]) -> Found:
    """Variables that the newest release reads."""
    missing = [name for name in names if name not in schema(bundled()[-1]).variables]
    return statement(not missing, "both are read" if not missing else f"{', '.join(missing)}: not read")


@computes("C004-065")
def log_level() -> Found:
    """--log-level: whether the newest release has it, whether it takes "debug", and whether all releases have it."""
    option = schema(bundled()[-1]).options.get("--log-level")
    objection = option.objection("debug") if option else "no such option"
    since = next(version for version in bundled() if "--log-level" in schema(version).options)
    everywhere = since == bundled()[0]
    return statement(option is not None, f"since {since}; {objection}", but=bool(objection) or not everywhere)


@computes("C003-094", told=85)
def share_taken(told: float) -> Found:
    """The share of a card's memory that vLLM takes [%], beside a limit for warnings: it must lie below the limit."""
    taken = 100 * float(schema(bundled()[-1]).options["--gpu-memory-utilization"].default)
    return statement(taken < told, f"{taken:.0f} % by default", number=taken)


@computes("C003-096", told="0.6.0")
def release(told: str) -> Found:
    """The release that a guide uses beside the newest that is known here: outdated if more than a few lie between."""
    minor, newest = int(told.split(".")[1]), int(bundled()[-1].split(".")[1])
    return Found(f"{bundled()[-1]} is the newest here", None, "outdated" if newest - minor > 3 else "correct")


@computes("C004-034", told=(16, 64))
def block_size(told: tuple[int, int]) -> Found:
    """Tokens in a block of the KV cache."""
    own = versions.default_block_size("H100 SXM5")
    return statement(told[0] <= own <= told[1], f"{own} by default", number=float(own))


@computes("C003-033", told=35)
def layers_on_the_gpu(told: int) -> Found:
    """Layers of Llama 3.1 8B and its output, which llama.cpp counts as one."""
    from workbench.architecture.model import Model

    layers = len(Model.from_config("meta-llama/Llama-3.1-8B-Instruct").layers) + 1
    return statement(told >= layers, f"{layers} with the output", number=float(layers))


@computes("C002-034")
def vocabularies() -> Found:
    """Words of the draft and the target, which must be the same."""
    from workbench.architecture.model import Model

    draft, target = (
        Model.from_config(name).vocabulary
        for name in ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "meta-llama/Meta-Llama-3-8B-Instruct")
    )
    return statement(number(draft, target).verdict == "correct", f"{draft:,} and {target:,} words")
