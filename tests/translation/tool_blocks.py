"""Commands and files of other engines and tools in older guides, with as little as shows the point; by the claim."""

from __future__ import annotations

from translation.blocks import Block

TRITON = """name: "eight"
backend: "vllm"
max_batch_size: 256
model_transaction_policy { decoupled: true }  # answers come in parts
instance_group [ { count: 1 kind: KIND_GPU gpus: [0] } ]
parameters { key: "model" value: { string_value: "meta-llama/Llama-3.1-8B-Instruct" } }
parameters { key: "dtype" value: { string_value: "bfloat16" } }
"""
TGI = """# docker run --gpus all --shm-size 1g -p 8080:80 \\
#   ghcr.io/huggingface/text-generation-inference:3.3.6 \\
#   --model-id meta-llama/Llama-3.1-8B-Instruct --quantize awq \\
#   --max-input-length 4096 --max-total-tokens 8192
"""
DOCKERFILE = """FROM vllm/vllm-openai:latest
RUN python3 -c "from huggingface_hub import snapshot_download; \\
    snapshot_download('org/model', cache_dir='/models')"
ENV MODEL_NAME=org/model
ENV TENSOR_PARALLEL_SIZE=2
ENV HF_HOME=/cache
CMD python -m vllm.entrypoints.openai.api_server \\
    --model $MODEL_NAME --tensor-parallel-size $TENSOR_PARALLEL_SIZE
"""
PROMETHEUS = """scrape_configs:
- job_name: vllm
  static_configs: [{targets: ['server:8000', 'http://other:8000/metrics']}]
  metrics_path: /metrics
  scrape_interval: 15s
"""
BUILT = """python convert_checkpoint.py --model_dir ./plain --output_dir ./made --dtype float16 --tp_size 2
trtllm-build --checkpoint_dir ./made --output_dir ./engine --gemm_plugin float16 --max_batch_size 256
mpirun -n 2 python run.py --engine_dir ./engine
"""

#: Commands: what is told of each by what was given, and the whole new command of the last part.
COMMANDS = (
    Block("C000-044", "huggingface-cli download org/model-AWQ --local-dir ./here", {"huggingface-cli": "renamed"},
          ("hf download org/model-AWQ --local-dir ./here",)),
    Block("C001-007", "python -m auto_gptq.quantize --model_name ./m --output_dir ./o --bits 4 --group_size 128",
          {"auto_gptq.quantize": "wrong", "--bits": "renamed"},
          ("workbench quantize ./m --method gptq --out ./o --set bits=4 --set group_size=128",)),
    Block("C003-030", "git clone https://github.com/ggml-org/llama.cpp\ncd llama.cpp && make -j\n",
          {"make": "removed"}),
    Block("C003-031, convert", "python convert_hf_to_gguf.py ./m --outtype f16 --outfile m.gguf",
          {"convert_hf_to_gguf.py": "kept", "--outtype": "kept"},
          ("python convert_hf_to_gguf.py ./m --outtype f16 --outfile m.gguf",)),
    Block("C003-031, quantise", "./llama-quantize m.gguf q.gguf q4_k_m", {"./llama-quantize": "kept"},
          ("./llama-quantize m.gguf q.gguf q4_k_m",)),
    Block("C003-031, serve", "./llama-server -m m.gguf --port 8080 --host 0.0.0.0", {"--port": "kept", "-m": "kept"},
          ("./llama-server -m m.gguf --port 8080 --host 0.0.0.0",)),
    Block("C003-031, ask", "./llama-cli -m m.gguf -p 'Hello' -n 128", {"-n": "kept"},
          ("./llama-cli -m m.gguf -p Hello -n 128",)),
    Block("C003-034", "ollama run llama3.1:8b-instruct", {"llama3.1:8b-instruct": "renamed"},
          ("ollama run llama3.1:8b",)),
    Block("C003-035", "ollama run llama3.1:8b", {"ollama": "kept"}, ("ollama run llama3.1:8b",)),
    Block("C003-044", TGI, {"--quantize": "wrong", "--max-input-length": "renamed", "--max-total-tokens": "kept"},
          ("docker run --gpus all --shm-size 1g -p 8080:80 ghcr.io/huggingface/text-generation-inference:3.3.6"
           " --model-id meta-llama/Llama-3.1-8B-Instruct --max-input-tokens 4096 --max-total-tokens 8192",)),
    Block("C003-068", "trtllm-build --checkpoint_dir ./llama-3.1-8b-instruct-fp8 --output_dir ./e --gemm_plugin fp8"
          " --max_batch_size 64 --max_input_len 2048 --max_seq_len 4096",
          {"trtllm-build": "removed", "--max_input_len": "removed", "--max_seq_len": "kept"},
          ("trtllm-serve ./llama-3.1-8b-instruct-fp8 --max_batch_size 64 --max_seq_len 4096",)),
    Block("C004-070", BUILT, {"run.py": "removed", "--engine_dir": "renamed"},
          ("trtllm-serve ./plain --tp_size 2 --max_batch_size 256",)),
    Block("C004-076, quantise", "./quantize a.gguf b.gguf Q4_K_M", {"./quantize": "renamed"},
          ("./llama-quantize a.gguf b.gguf Q4_K_M",)),
    Block("C004-076, ask", "./main -m b.gguf -p 'Once upon a time' -n 128", {"./main": "renamed"},
          ("./llama-cli -m b.gguf -p 'Once upon a time' -n 128",)),
    Block("C002-043, the command",
          'tritonserver --model-repository=/m --backend-config=vllm,cmdline_args="--max-num-seqs 256" --http-port 8000',
          {"--http-port": "kept"}, ("tritonserver --model-repository=/m --http-port 8000",)),
)  # fmt: skip

#: What a parser of its own would refuse, and a rule of the tool's.
REFUSED = (
    Block("llama.cpp, an option that it has not", "llama-server -m a.gguf --gpu-memory-utilization 0.9",
          {"--gpu-memory-utilization": "unknown"}, ("llama-server -m a.gguf",)),
    Block("llama.cpp, no number", "llama-server -m a.gguf -c lots", {"-c": "wrong"}, ("llama-server -m a.gguf",)),
    Block("llama.cpp, no type", "llama-quantize a.gguf b.gguf Q4_KM", {"Q4_KM": "unknown"},
          ("llama-quantize a.gguf b.gguf",)),
    Block("TGI, no value", "text-generation-launcher --model-id m --quantize int4", {"--quantize": "wrong"},
          ("text-generation-launcher --model-id m",)),
    Block("TGI, lengths the wrong way round",
          "text-generation-launcher --model-id m --max-input-tokens 8192 --max-total-tokens 4096",
          {"--max-input-tokens": "wrong"}, ("text-generation-launcher --model-id m --max-total-tokens 4096",)),
    Block("TGI, two types", "text-generation-launcher --model-id m --quantize fp8 --dtype float16",
          {"--dtype": "wrong"}, ("text-generation-launcher --model-id m --quantize fp8",)),
    Block("TensorRT-LLM, vLLM's name", "trtllm-serve m --tensor-parallel-size 2", {"--tensor-parallel-size": "unknown"},
          ("trtllm-serve m",)),
    Block("Triton, no yes or no", "tritonserver --model-repository=/m --allow-http=perhaps", {"--allow-http": "wrong"},
          ("tritonserver --model-repository=/m",)),
    Block("Ollama, an option that run has not", "ollama run llama3.1:8b --gpu 1", {"--gpu": "unknown"},
          ("ollama run llama3.1:8b",)),
)  # fmt: skip
