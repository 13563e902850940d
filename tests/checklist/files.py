"""Files that a good deployment has: manifests, rules, needs, a quantised model's folder."""

from __future__ import annotations

import json

import yaml

ALERTS = {
    "MemoryFull": "vllm:kv_cache_usage_perc > 0.95",
    "Slow": "histogram_quantile(0.99, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket[5m]))) > 3",
    "Failing": 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.01',
    "Gone": 'up{job="vllm"} == 0',
}
PANELS = (
    "histogram_quantile(0.99, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))",
    "sum(rate(vllm:generation_tokens_total[1m]))",
    "DCGM_FI_DEV_GPU_UTIL",
    'sum(rate(http_requests_total{status=~"5.."}[5m]))',
    "llm_usd_per_million_tokens",
    "feedback_thumbs_up_share",
)


def probe(period=10, failures=3, delay=0):
    return {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": period, "failureThreshold": failures,
            "initialDelaySeconds": delay}  # fmt: skip


def manifests(*, alerts=None, **changes):
    """Objects of a good deployment; `changes` replace whole objects by their kind, or leave them out (None)."""
    container = {
        "name": "vllm", "image": "vllm/vllm-openai:v0.33.0", "startupProbe": probe(10, 60), "readinessProbe": probe(),
        "livenessProbe": probe(),
    }  # fmt: skip
    objects = {
        "Deployment": {"metadata": {"name": "vllm"}, "spec": {"template": {"spec": {"containers": [container]}}}},
        "ScaledObject": {
            "metadata": {"name": "vllm"},
            "spec": {"scaleTargetRef": {"name": "vllm"}, "minReplicaCount": 2, "maxReplicaCount": 8,
                     "triggers": [{"type": "prometheus", "metadata": {"query": "sum(vllm:num_requests_waiting)"}}]},
        },
        "Service": {"metadata": {"name": "vllm"}, "spec": {"ports": [{"port": 8000}]}},
        "Ingress": {
            "metadata": {"name": "vllm", "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "900"}},
            "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["llm.example.com"]}]},
        },
        "ServiceMonitor": {"metadata": {"name": "vllm"}, "spec": {"endpoints": [{"port": "http"}]}},
        "PrometheusRule": {
            "metadata": {"name": "vllm"},
            "spec": {"groups": [{"name": "vllm", "rules": [
                {"alert": name, "expr": expr, "for": "5m"} for name, expr in (alerts or ALERTS).items()]}]},
        },
    }  # fmt: skip
    return [{"kind": kind, **value} for kind, value in (objects | changes).items() if value is not None]


def written(path, objects):
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return path


def quantised(folder, *, before=8.0, after=8.1, agreement=0.97, text="own.txt", model="meta/m"):
    """The folder that ``wb.quantize`` leaves, as far as it is read here."""
    folder.mkdir(exist_ok=True)
    config = {
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "vocab_size": 1024,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096, "torch_dtype": "bfloat16",
        "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True,
                                "version": "gemm"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    result = {"method": "awq", "perplexity_before": before, "perplexity_after": after, "top1_agreement": agreement,
              "evaluation": {"text": text}}  # fmt: skip
    (folder / "workbench.json").write_text(json.dumps({"job": "quantise", "model": model, "result": result}))
    return folder
