"""Kubernetes objects of older guides, re-expressed with as little as shows the point; by the number of the claim."""

from __future__ import annotations

from translation.blocks import Block

LLAMA_CPP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: on-processor}
spec:
  selector: {matchLabels: {app: on-processor}}
  template:
    spec:
      containers:
      - name: server
        image: ghcr.io/ggerganov/llama.cpp:server
        args: [--model=/m/llama-2-7b-chat.Q4_K_M.gguf, --ctx-size=4096, --n-gpu-layers=0, --threads=8]
        resources: {limits: {memory: 16Gi}}
        volumeMounts: [{name: m, mountPath: /m}]
      volumes: [{name: m, persistentVolumeClaim: {claimName: m}}]
"""
GPTQ = """
apiVersion: batch/v1
kind: Job
metadata: {name: make-gptq}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: make
        image: pytorch/pytorch:2.1.0-cuda12.1-cudnn8-runtime
        command: [python, -m, auto_gptq.quantize]
        args: [--model_name=/m/plain, --output_dir=/m/gptq, --bits=4, --group_size=128, --desc_act=true,
               --dataset=c4, --num_samples=128]
        resources: {limits: {nvidia.com/gpu: 1, memory: 32Gi}}
        volumeMounts: [{name: m, mountPath: /m}]
      volumes: [{name: m, persistentVolumeClaim: {claimName: m}}]
"""
TENSORRT_LLM = """
apiVersion: batch/v1
kind: Job
metadata: {name: make-int8}
spec:
  template:
    spec:
      containers:
      - name: make
        image: nvcr.io/nvidia/tritonserver:24.01-trtllm-python-py3
        command: [python, /app/examples/quantization/quantize.py]
        args: [--model_dir=/m/plain, --output_dir=/out/int8, --dtype=float16, --qformat=int8_sq, --calib_size=512]
        resources: {limits: {nvidia.com/gpu: 1}}
"""
SERVER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: two-cards}
spec:
  replicas: 3
  selector: {matchLabels: {app: two-cards}}
  template:
    metadata: {labels: {app: two-cards}}
    spec:
      containers:
      - name: server
        image: vllm/vllm-openai:latest
        args: [--model, meta-llama/Llama-3.1-8B, --tensor-parallel-size, "2"]
        resources: {limits: {nvidia.com/gpu: 2}, requests: {memory: 32Gi}}
        ports: [{containerPort: 8000, name: http}]
"""
PROBED = """        livenessProbe:
          httpGet: {path: /health, port: 8000}
          initialDelaySeconds: 60
          periodSeconds: 10
        readinessProbe:
          httpGet: {path: /health, port: 8000}
          initialDelaySeconds: 30
"""
SCALED = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: more-of-them}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: vllm-server}
  maxReplicas: 4
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
  - type: Pods
    pods: {metric: {name: http_requests_per_second}, target: {type: AverageValue, averageValue: "1000"}}
"""
SHARED = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: models}
spec:
  accessModes: [ReadWriteMany]
  resources: {requests: {storage: 100Gi}}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  selector: {app: two-cards}
  ports: [{port: 8000, targetPort: 8000, name: http}]
"""
IN_MEMORY = SERVER.replace('--tensor-parallel-size, "2"', "--dtype, float16").replace(
    "{limits: {nvidia.com/gpu: 2}, requests: {memory: 32Gi}}", "{limits: {nvidia.com/gpu: 1, memory: 16Gi}}"
)
MOUNTED = """        volumeMounts: [{name: shm, mountPath: /dev/shm}]
      volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: SIZE}}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: outside
  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /, nginx.ingress.kubernetes.io/proxy-read-timeout: "300"}
spec:
  ingressClassName: nginx
  rules:
  - host: llm.example.com
    http:
      paths: [{path: PATH, pathType: Prefix, backend: {service: {name: front, port: {number: 8000}}}}]
"""
SCRIPT = """
apiVersion: v1
kind: ConfigMap
metadata: {name: script}
data:
  quantize.py: |
    from awq import AutoAWQForCausalLM
    print("a script")
"""
_SELECTED = {"template": "wrong"}

#: What is told of each, by what was given; "holds" are texts of the new file, "lacks" those that must be gone.
BLOCKS = (
    Block("C001-007, C001-009, C001-010", GPTQ, {"memory": "kept"},
          ("workbench-quantize:", "num_calibration_samples=128", "bits=4", "/m/gptq"), ("auto_gptq", "pytorch/", "c4")),
    Block("C001-011", SCRIPT, {}, ("from awq import AutoAWQForCausalLM",)),
    Block("C001-013, C001-014", IN_MEMORY + MOUNTED.replace("SIZE", "8Gi"),
          {"memory": "kept", "vllm/vllm-openai:latest": "renamed"}, ("vllm/vllm-openai:v", "memory: 16Gi"),
          (":latest",)),
    Block("C001-013 with all of it in /dev/shm", IN_MEMORY + MOUNTED.replace("SIZE", "16Gi"), {"memory": "wrong"},
          ("memory: 32Gi",)),
    Block("C001-015, C001-016, C001-017, C001-018", LLAMA_CPP, _SELECTED,
          ("ghcr.io/ggml-org/llama.cpp:server", "app: on-processor", "- --ctx-size\n"), ("ggerganov", "--ctx-size=")),
    Block("C001-024, C001-025", TENSORRT_LLM, {"spec": "wrong", "args": "wrong"},
          ("restartPolicy: Never", "hf_ptq.py", "fp8", "mountPath: /out"), ("int8_sq", "tritonserver")),
    Block("C001-026 in a server",
          IN_MEMORY + "        env: [{name: LOAD_IN_8BIT, value: 'true'}, {name: HF_HOME, value: /m}]\n",
          {"memory": "kept"}, ("HF_HOME",), ("LOAD_IN_8BIT",)),
    Block("C004-048", SERVER, {"volumeMounts": "wrong"}, ("mountPath: /dev/shm", "sizeLimit: 4Gi")),
    Block("C004-049", SERVER + PROBED, {"initialDelaySeconds": "default"}, ("startupProbe:",),
          ("initialDelaySeconds",)),
    Block("C004-050", SCALED, {"cpu": "wrong", "http_requests_per_second": "wrong"}, ("vllm_num_requests_waiting",),
          ("averageUtilization", "http_requests_per_second")),
    Block("C004-050 with its server", f"{SERVER.replace('two-cards', 'vllm-server')}---{SCALED}", {"cpu": "wrong"},
          ("vllm_num_requests_waiting",), ("averageUtilization",)),
    Block("C004-052", SHARED, {}, ("ReadWriteMany", "targetPort: 8000")),
    Block("document 004, ranks and cards", SERVER.replace("gpu: 2", "gpu: 1"), {"nvidia.com/gpu": "wrong"},
          ("nvidia.com/gpu: 2",)),
    Block("document 004, Ingress", INGRESS.replace("PATH", "/"),
          {"nginx.ingress.kubernetes.io/rewrite-target": "default"}, ("proxy-read-timeout",), ("rewrite-target",)),
    Block("document 004, Ingress of a path", INGRESS.replace("PATH", "/v1"),
          {"nginx.ingress.kubernetes.io/rewrite-target": "wrong"}, ("proxy-read-timeout",), ("rewrite-target",)),
)  # fmt: skip
