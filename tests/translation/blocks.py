"""Configuration blocks of older guides, re-expressed with as little as shows the point; by the number of the claim.

A block is a text, the statuses it must be told (what was given -> status), and words that the new command must and must
not hold.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One block, and what must come of it under the current release."""

    claim: str
    text: str
    said: dict[str, str]
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


def of(model: str, **given: object) -> str:
    """A call in Python."""
    return f"from vllm import LLM\nllm = LLM(model={model!r}, {', '.join(f'{k}={v!r}' for k, v in given.items())})\n"


LLAMA, SEVENTY = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"

BLOCKS = (
    Block(
        "C000-014",
        "vllm:\n  quantization: 'fp8'\n  kv_cache_dtype: 'fp8_e5m2'\n",
        {"quantization": "renamed", "kv_cache_dtype": "kept"},
        ("--quantization", "fp8_per_tensor"),
    ),
    Block(
        "C000-016",
        "vllm:\n  quantization: awq\n  quantization_param_path: ./awq\n",
        {"quantization_param_path": "removed"},
        lacks=("./awq",),
    ),
    Block("C000-017", "vllm:\n  load_format: auto\n  quantization: gptq\n", {"load_format": "default"}, ("gptq",)),
    Block(
        "C000-034",
        "vllm:\n  model_name: TheBloke/Llama-2-70B-Chat-AWQ\n  quantization: awq\n  use_v2_block_manager: true\n"
        "  swap_space: 8\n  block_size: 32\n  max_num_batched_tokens: 16384\n  max_chunked_prefill_tokens: 2048\n"
        "  enable_prefix_caching: true\n  enable_chunked_prefill: true\n",
        {
            "model_name": "wrong",
            "quantization": "default",
            "use_v2_block_manager": "removed",
            "swap_space": "removed",
            "block_size": "kept",
            "max_num_batched_tokens": "kept",
            "max_chunked_prefill_tokens": "wrong",
            "enable_prefix_caching": "default",
            "enable_chunked_prefill": "default",
        },
        ("TheBloke/Llama-2-70B-Chat-AWQ", "--block-size", "32", "16384"),
        ("2048", "--swap-space"),
    ),
    Block(
        "C000-041",
        "vllm:\n  model_name: codellama/CodeLlama-34b-Instruct-hf\n  scheduler_delay_factor: 0.0\n"
        "  max_model_len: 8192\n",
        {"scheduler_delay_factor": "removed", "max_model_len": "kept"},
        ("--max-model-len", "8192"),
    ),
    Block(
        "C000-043",
        "vllm:\n  quantization: null\n  tensor_parallel_size: 2\n  max_model_len: 16384\n"
        "  max_num_batched_tokens: 65536\n",
        {"quantization": "default", "tensor_parallel_size": "kept"},
        ("65536",),
    ),
    Block(
        "C001-012",
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - image: vllm/vllm-openai:latest\n"
        "        args: [--model=/models/Llama-2-7b-awq, --quantization=awq, --dtype=float16,"
        " --gpu-memory-utilization=0.9]\n",
        {"--model": "kept", "--quantization": "default", "--dtype": "kept", "--gpu-memory-utilization": "kept"},
        ("/models/Llama-2-7b-awq", "float16", "0.9"),
    ),
    Block(
        "C001-026",
        "env:\n- name: LOAD_IN_8BIT\n  value: 'true'\n- name: BNB_4BIT_QUANT_TYPE\n  value: nf4\n",
        {"LOAD_IN_8BIT": "wrong", "BNB_4BIT_QUANT_TYPE": "wrong"},
    ),
    Block(
        "C002-021",
        of("/models/llama-3-70b-awq-int4", quantization="awq", max_model_len=4096, gpu_memory_utilization=0.85),
        {"quantization": "default", "gpu_memory_utilization": "kept"},
        ("0.85", "4096"),
    ),
    Block(
        "C002-023",
        of(LLAMA, dtype="bfloat16", max_num_seqs=128, max_model_len=8192, gpu_memory_utilization=0.90),
        {"dtype": "kept", "max_num_seqs": "kept"},
        ("bfloat16", "128"),
    ),
    Block(
        "C002-024",
        "python -m vllm.entrypoints.openai.api_server \\\n--model org/model \\\n--max-num-seqs 256 \\\n"
        "--block-size 16 \\\n--max-num-batched-tokens 32768 \\\n--port 8000\n",
        {"--model": "kept", "--block-size": "default", "--port": "default", "--max-num-batched-tokens": "kept"},
        ("vllm", "serve", "org/model", "32768"),
        ("--port",),
    ),
    Block(
        "C002-031",
        of(SEVENTY, speculative_model=LLAMA, num_speculative_tokens=5, tensor_parallel_size=2),
        {"speculative_model": "renamed", "num_speculative_tokens": "renamed", "tensor_parallel_size": "kept"},
        ('{"method": "draft_model", "model": "meta-llama/Llama-3.1-8B-Instruct", "num_speculative_tokens": 5}',),
    ),
    Block(
        "C002-032",
        of(LLAMA, speculative_model="org/tiny", num_speculative_tokens=6, speculative_max_model_len=4096),
        {"speculative_max_model_len": "renamed"},
        ('{"method": "draft_model", "model": "org/tiny", "num_speculative_tokens": 6, "max_model_len": 4096}',),
    ),
    Block("C002-036", of(LLAMA, kv_cache_dtype="fp8", max_model_len=32768), {"kv_cache_dtype": "kept"}, ("fp8",)),
    Block(
        "C003-043",
        of(LLAMA, dtype="auto", quantization="awq", tensor_parallel_size=1, max_model_len=4096),
        {"dtype": "default", "quantization": "wrong", "tensor_parallel_size": "default"},
        ("4096",),
        ("awq",),
    ),
    Block(
        "C003-071", of(LLAMA, quantization="fp8", max_model_len=4096), {"quantization": "renamed"}, ("fp8_per_tensor",)
    ),
    Block(
        "C003-089",
        of(SEVENTY, speculative_model="[ngram]", num_speculative_tokens=5, ngram_prompt_lookup_max=4),
        {"speculative_model": "renamed", "ngram_prompt_lookup_max": "renamed"},
        ('{"method": "ngram", "num_speculative_tokens": 5, "prompt_lookup_max": 4}',),
    ),
    Block(
        "C003-090",
        of(SEVENTY, speculative_model="[mlp_speculator]", num_speculative_tokens=3, max_model_len=4096),
        {"speculative_model": "wrong", "num_speculative_tokens": "removed", "max_model_len": "kept"},
        lacks=("--speculative-config",),
    ),
    Block(
        "C003-088 in a comment",
        "# pip install vllm\n# python -m vllm.entrypoints.openai.api_server \\\\\n#     --model org/model \\\\\n"
        "#     --dtype auto \\\\\n#     --api-key your-api-key\n\nprint('it\\'s')\n",
        {"--model": "kept", "--dtype": "default", "--api-key": "kept"},
        ("org/model", "your-api-key"),
    ),
    Block(
        "C004-045",
        "python -m vllm.entrypoints.openai.api_server --model org/model --host 0.0.0.0 --tensor-parallel-size 4"
        " --pipeline-parallel-size 2 --enable-prefix-caching --served-model-name llama-70b --trust-remote-code\n",
        {"--enable-prefix-caching": "default", "--served-model-name": "kept", "--trust-remote-code": "kept"},
        ("--served-model-name", "llama-70b", "--trust-remote-code"),
    ),
    Block(
        "C004-046",
        "export CUDA_VISIBLE_DEVICES=0,1\nexport VLLM_USE_MODELSCOPE=false\n",
        {"CUDA_VISIBLE_DEVICES": "kept", "VLLM_USE_MODELSCOPE": "kept"},
    ),
    Block(
        "C004-048",
        "docker run --gpus all -v ~/.cache/huggingface:/root/.cache/huggingface -p 8000:8000 --ipc=host \\\n"
        "  vllm/vllm-openai:latest \\\n  --model org/model --tensor-parallel-size 2\n",
        {"--model": "kept", "--tensor-parallel-size": "kept"},
        ("org/model", "--tensor-parallel-size", "2"),
    ),
    Block(
        "C004-051",
        "FROM vllm/vllm-openai:latest\nENV MODEL_NAME=org/model\nENV TENSOR_PARALLEL_SIZE=2\n"
        "CMD python -m vllm.entrypoints.openai.api_server --model $MODEL_NAME \\\n"
        "  --tensor-parallel-size $TENSOR_PARALLEL_SIZE\n",
        {"--model": "kept", "--tensor-parallel-size": "kept"},
        ("org/model", "--tensor-parallel-size", "2"),
    ),
    Block("C004-064", "--gpu-memory-utilization 0.85\n", {"--gpu-memory-utilization": "kept"}, ("0.85",)),
    Block(
        "C004-065",
        "export VLLM_LOGGING_LEVEL=DEBUG\npython -m vllm.entrypoints.openai.api_server --model org/model"
        " --log-level debug 2>&1 | tee vllm.log\n",
        {"VLLM_LOGGING_LEVEL": "kept", "--log-level": "wrong"},
        ("--log-level", "DEBUG"),
        ("2", "tee"),
    ),
)
