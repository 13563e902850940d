"""The engines that can be started from here."""

from __future__ import annotations

from workbench.engines.llama_cpp import failures as llama_cpp_failures
from workbench.engines.llama_cpp import launch as llama_cpp
from workbench.engines.llama_cpp import logs as llama_cpp_logs
from workbench.engines.starting import Starter
from workbench.engines.transformers import failures as transformers_failures
from workbench.engines.transformers import launch as transformers
from workbench.engines.transformers import logs as transformers_logs
from workbench.engines.vllm import failures, launch, logs

VLLM = Starter(
    title="vLLM",
    distribution="vllm",
    command=launch.process_command,
    environment=launch.process_environment,
    stages=logs.STAGES,
    # Measured with a small model on two cores.
    begins={
        "environment": 0.0,
        "starting": 0.05,
        "downloading": 0.44,
        "loading": 0.45,
        "compiling": 0.55,
        "profiling": 0.8,
        "capturing": 0.85,
        "listening": 0.95,
        "ready": 1.0,
    },
    reader=logs.LogReader,
    failure=failures.read_failure,
)

LLAMA_CPP = Starter(
    title="llama.cpp",
    distribution="llama_cpp_python",
    command=llama_cpp.process_command,
    environment=llama_cpp.process_environment,
    stages=llama_cpp_logs.STAGES,
    begins={"environment": 0.0, "starting": 0.05, "loading": 0.4, "caching": 0.7, "listening": 0.9, "ready": 1.0},
    reader=llama_cpp_logs.LogReader,
    failure=llama_cpp_failures.read_failure,
)

TRANSFORMERS = Starter(
    title="transformers",
    distribution="transformers",
    command=transformers.process_command,
    environment=transformers.process_environment,
    stages=transformers_logs.STAGES,
    begins={"environment": 0.0, "starting": 0.05, "loading": 0.8, "listening": 0.95, "ready": 1.0},
    reader=transformers_logs.LogReader,
    failure=transformers_failures.read_failure,
)

#: By a Deployment's word for the engine.
STARTERS = {"vllm": VLLM, "llama.cpp": LLAMA_CPP, "transformers": TRANSFORMERS}
