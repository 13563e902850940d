"""Names of metrics in queries, rules and dashboards: renamed where they are names, and nowhere else."""

from __future__ import annotations

import json

import pytest
import yaml

import workbench as wb
from workbench.datafiles import read_rows
from workbench.engines.vllm.schema import bundled, schema
from workbench.translation.promql import tokens, translated

NOW = schema("0.33.0")


@pytest.mark.parametrize(
    ("query", "new"),
    [
        ("vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"),
        ('avg(vllm:gpu_cache_usage_perc{m="m"}) by (pod) > 0.9', 'avg(vllm:kv_cache_usage_perc{m="m"}) by (pod) > 0.9'),
        ('up{job="vllm:gpu_cache_usage_perc"}', None),
        ("label_replace(up, 'a', 'vllm:gpu_cache_usage_perc', '', '')", None),
        ("up # vllm:gpu_cache_usage_perc", None),
        ('{__name__="vllm:gpu_cache_usage_perc"}', '{__name__="vllm:kv_cache_usage_perc"}'),
        ('{__name__=~"vllm:gpu_cache_usage_perc"}', None),
        ("histogram_quantile(0.9, rate(vllm:time_per_output_token_seconds_bucket[5m]))",
         "histogram_quantile(0.9, rate(vllm:inter_token_latency_seconds_bucket[5m]))"),
        ("vllm:avg_generation_throughput_toks_per_s{a='b'}", "rate(vllm:generation_tokens_total{a='b'}[1m])"),
        ("max_over_time(vllm:avg_generation_throughput_toks_per_s[1h])",
         "max_over_time((rate(vllm:generation_tokens_total[1m]))[1h:])"),
        ("1 - vllm:gpu_prefix_cache_hit_rate",
         "1 - (rate(vllm:prefix_cache_hits_total[5m]) / rate(vllm:prefix_cache_queries_total[5m]))"),
        ("rate(vllm:generation_tokens_total[1m])", None),
        ("vllm:prompt_tokens", "vllm:prompt_tokens_total"),
        ("vllm:num_requests_swapped", None),
        ("my:vllm:gpu_cache_usage_perc", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_query(query, new):
    assert translated(query, NOW)[0] == (query if new is None else new)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("rate(vllm:num_requests_running[1m])", "wrong"),
        ("vllm:time_to_first_token_seconds", "wrong"),
        ("vllm:avg_time_to_first_token_seconds", "wrong"),
        ("vllm:num_requests_swapped", "removed"),
        ("vllm:no_such_thing", "unknown"),
        ("vllm:num_requests_waiting", "kept"),
        ("vllm:gpu_cache_usage_perc", "renamed"),
    ],
)
def test_what_is_said_of_a_query(query, status):
    (change,) = translated(query, NOW)[1]
    assert change.status == status
    assert change.text or status == "kept"
    assert change.source or status == "kept"


def test_an_old_release_keeps_its_names():
    for name in ("vllm:gpu_cache_usage_perc", "vllm:time_per_output_token_seconds_bucket"):
        assert translated(name, schema("0.8.5"))[0] == name


def test_tokens_lose_nothing():
    query = 'sum by (a) (x:y{b=~"c\\"d"}[5m]) # e\n/ 1.5e3 `f'
    assert "".join(token.text for token in tokens(query)) == query


def test_the_table_names_what_releases_had_or_never_had():
    for row in read_rows("engines", "vllm_metric_changes.csv"):
        having = [version for version in bundled() if row["name"] in schema(version).metrics]
        assert bool(having) == (row["verdict"] != "wrong")
        assert row["name"] not in NOW.metrics
        assert row["source"]
        _, changes = translated(row["becomes"].replace("{}", "") or "up", NOW)
        assert not {change.status for change in changes} & {"removed", "unknown"}


def test_the_servers_own_metrics_are_known():
    """The names that a server of this release was asked for, which the monitor reads."""
    from workbench.engines.vllm import metrics

    for names in (*metrics.GAUGES.values(), *metrics.COUNTERS.values(), *metrics.HISTOGRAMS.values()):
        assert f"vllm:{names[0]}" in NOW.metrics


def test_a_dashboard_keeps_all_but_the_names():
    board = {
        "title": "vllm:gpu_cache_usage_perc",
        "panels": [
            {
                "targets": [
                    {"expr": 'vllm:gpu_cache_usage_perc{m="$m"}\n* 100', "legendFormat": "vllm:gpu_cache_usage_perc"}
                ]
            },
            {"targets": [{"expr": "vllm:num_requests_waiting"}]},
        ],
        "templating": {"list": [{"query": "label_values(vllm:gpu_cache_usage_perc, m)", "q": "模型"}]},
    }
    text = json.dumps(board, indent=3, ensure_ascii=False)
    (part,) = wb.translate(text, "0.33.0").parts
    assert part.form == "grafana"
    new = json.loads(part.text)
    assert new["panels"][0]["targets"][0]["expr"] == 'vllm:kv_cache_usage_perc{m="$m"}\n* 100'
    assert new["panels"][0]["targets"][0]["legendFormat"] == "vllm:gpu_cache_usage_perc"
    assert new["templating"]["list"][0]["query"] == "label_values(vllm:kv_cache_usage_perc, m)"
    assert new["title"] == board["title"]
    assert part.text.replace("kv_cache", "gpu_cache") == text
    assert [change.status for change in part.changes] == ["renamed", "kept", "renamed"]


def test_rules_keep_all_but_the_names():
    text = (
        "groups:\n- name: vllm  # vllm:gpu_cache_usage_perc\n  rules:\n  - alert: Full\n"
        '    expr: "vllm:gpu_cache_usage_perc > 0.9"\n  - record: a:b\n    expr: |\n'
        "      sum(\n        vllm:gpu_cache_usage_perc\n      )\n    labels: {why: 'vllm:gpu_cache_usage_perc'}\n"
    )
    (part,) = wb.translate(text, "0.33.0").parts
    assert part.form == "rules"
    first, second = yaml.safe_load(part.text)["groups"][0]["rules"]
    assert first["expr"] == "vllm:kv_cache_usage_perc > 0.9"
    assert second["expr"] == "sum(\n  vllm:kv_cache_usage_perc\n)\n"
    assert second["labels"] == {"why": "vllm:gpu_cache_usage_perc"}
    assert part.text.count("gpu_cache") == 2
