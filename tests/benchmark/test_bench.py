"""A benchmark end to end: the real load generator on a server whose times are known, and on servers that fail."""

import json
import os
import time
from pathlib import Path

import pytest
from streaming_server import StreamingServer

import workbench as wb
from workbench import builtin
from workbench.benchmark.endpoint import Manner
from workbench.benchmark.generator import _judge, _variables
from workbench.benchmark.load import LoadLevel, LoadResult, Target
from workbench.benchmark.meter import Meter
from workbench.cli import main
from workbench.errors import WorkbenchError

FIRST, GAP = 0.05, 0.01


@pytest.fixture(scope="module")
def model() -> Path:
    """The built-in model's folder: its tokenizer makes the prompts."""
    return builtin.ensure()


def page(server):
    """A page of vLLM's metrics that counts what the stand-in has streamed."""
    tokens = sum(body.get("max_tokens") or 0 for body in server[0].bodies) if server else 0
    return (
        "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting 3\n"
        "# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc 0.25\n"
        f"# TYPE vllm:generation_tokens counter\nvllm:generation_tokens_total {tokens}\n"
        "# TYPE vllm:prefix_cache_queries counter\nvllm:prefix_cache_queries_total 100\n"
        "# TYPE vllm:num_preemptions counter\nvllm:num_preemptions_total 5\n"
    )


@pytest.mark.environment
def test_times_are_the_servers_own(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Through the command line; one request in thirty fails, which is told and still a measurement."""
    at: list[StreamingServer] = []
    warm = 1 + 4  # the first question and the warm-ups
    fault = lambda number: "500" if number == warm + 7 else ""  # noqa: E731
    with StreamingServer(fault, first=FIRST, gap=GAP, slots=4, metrics=lambda: page(at), key="geheim") as server:
        at.append(server)
        os.environ["THE_KEY"] = "geheim"
        words = ["bench", server.url, "--tokenizer", str(model), "--isl", "32", "--osl", "8", "--concurrency", "4"]
        more = ["--requests", "30", "--load-seed", "7", "--api-key-env", "THE_KEY", "--out", str(tmp_path / "kept")]
        assert main([*words, *more, "--max-ttft", "10", "--json"]) == 0
        assert len(server.bodies) == warm + 30
        assert server.most == 4
        assert set(server.keys) == {"Bearer geheim"}
    said = capfd.readouterr().out
    found = LoadResult.from_json(json.loads(said)["results"][0])
    assert (found.completed, found.failed, found.short) == (29, 1, 0)
    assert found.output_tokens == 29 * 8
    assert FIRST <= found.ttft.p50 < FIRST + 0.05
    assert GAP <= found.tpot.p50 < GAP + 0.02
    assert found.e2e.p50 == pytest.approx(FIRST + 7 * GAP, rel=0.5)
    assert found.ttft.p50 <= found.ttft.p95 <= found.ttft.p99
    assert found.seconds >= 29 / 4 * (FIRST + 7 * GAP) * 0.9
    assert found.served.kv_cache_usage == 0.25
    assert (found.served.waiting, found.served.preemptions, found.served.prefix_hit) == (3, 0, None)
    assert found.served.generated == 30 * 8
    assert "1 of 30 requests failed: Internal Server Error (1 times)." in found.remarks
    assert found.tool.command[:3] == ("vllm", "bench", "serve")
    kept = "".join(path.read_text() for path in (tmp_path / "kept").iterdir())
    assert "geheim" not in kept + said
    assert not (tmp_path / "kept" / "serving_latency.csv").exists()  # nobody said which model and card


@pytest.mark.environment
def test_a_server_that_dies_under_load_is_an_error(model: Path, tmp_path: Path) -> None:
    with StreamingServer(lambda number: "dead" if number == 12 else "") as server:
        options = {"workload": wb.Workload(32, 8), "concurrency": 4, "requests": 32, "tokenizer": model}
        with pytest.raises(WorkbenchError, match=r"failed \d+ of 32 requests and does not answer any more: ") as caught:
            wb.bench(server.url, out=tmp_path, **options)
    assert "Traceback" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.environment
@pytest.mark.soak
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda n: "500" if n > 1 and n % 5 == 0 else "", r"failed \d+ of 32 requests: Internal Server Error \("),
        (lambda n: "short" if n > 5 and n % 2 else "", r"broke off \d+ of 32 answers before their 8 tokens"),
        (lambda n: "hang" if n > 9 else "", r"was not over in 40 s \(\d+ of 32 requests over\)"),
        (lambda n: "drip" if n > 9 else "", r"was not over in 40 s"),
        (lambda n: "garbage" if n > 4 else "", r"failed \d+ of 32 requests"),
        (lambda n: "cut" if n > 4 else "", r"failed \d+ of 32 requests"),
        (lambda n: "whole" if n > 4 else "", r"sent \d+ of 32 answers in one piece"),
        (lambda n: "empty" if n > 4 else "", r"failed \d+ of 32 requests.*valid chunk"),
    ],
    ids=["500", "short", "hang", "drip", "garbage", "cut", "whole", "empty"],
)
def test_every_way_of_failing_under_load_is_an_error(model: Path, fault, said) -> None:
    with StreamingServer(fault) as server, pytest.raises(WorkbenchError, match=said) as caught:
        wb.bench(
            server.url, workload=wb.Workload(32, 8), concurrency=4, requests=32, warmups=0, tokenizer=model,
            time_limit=40,
        )  # fmt: skip
    assert "Traceback" not in str(caught.value)


@pytest.mark.environment
@pytest.mark.soak
def test_servers_of_other_manners(model: Path) -> None:
    """Chats only; an end of its own; no count of tokens; requests at a rate."""
    load = {"workload": wb.Workload(32, 8), "concurrency": 2, "requests": 16, "tokenizer": model}
    with StreamingServer(chat_only=True) as server:
        found = wb.bench(server.url, **load).results[0]
        assert (found.completed, found.output_tokens) == (16, 128)
        assert all("messages" in body for body in server.bodies[1:])
    with StreamingServer(stops=True, usage=False) as server:
        found = wb.bench(server.url, **load).results[0]
        assert (found.output_tokens, found.short) == (64, 16)
        assert any("Answers have 4.0 tokens on average where 8" in said for said in found.remarks)
        assert any("does not count its tokens" in said for said in found.remarks)
    with StreamingServer(stops=True, minimum=True, owner="me") as server:
        assert wb.bench(server.url, **load).results[0].output_tokens == 128
    with StreamingServer() as server:
        load |= {"concurrency": None, "request_rate": [8.0], "requests": 40}
        found = wb.bench(server.url, **load).results[0]
        assert found.requests_per_s == pytest.approx(8.0, rel=0.1)


@pytest.mark.environment
@pytest.mark.soak
def test_a_cancelled_benchmark_leaves_no_process(model: Path) -> None:
    import threading

    import psutil

    cancel = threading.Event()
    with StreamingServer(gap=0.5) as server:
        threading.Timer(12.0, cancel.set).start()
        with pytest.raises(wb.WorkbenchError, match="was cancelled"):
            wb.bench(
                server.url, workload=wb.Workload(32, 8), concurrency=1, requests=100, tokenizer=model, cancel=cancel
            )
        time.sleep(1)
        assert not [p for p in psutil.Process().children(recursive=True) if "generator_worker" in " ".join(p.cmdline())]


# ------------------------------------------------------------------------------------------------ without the tool


def outcome(**changes):
    """What the tool's worker returns."""
    times = {"mean": 0.01, "p50": 0.01, "p90": 0.01, "p95": 0.01, "p99": 0.01}
    made = {
        "version": "0", "completed": 40, "failed": 0, "short": 0, "seconds": 1.0, "input_tokens": 1280,
        "output_tokens": 320, "times": dict.fromkeys(("ttft", "tpot", "itl", "e2e"), times), "errors": [],
        "uncounted": 0, "at_once": 0,
    }  # fmt: skip
    return made | changes


@pytest.mark.parametrize(
    ("changes", "whole", "said"),
    [
        ({"completed": 0, "failed": 40, "errors": [["Connection refused", 40]]}, True, r"failed 40 of 40 .*refused"),
        ({"completed": 0, "output_tokens": 0}, True, "answered none of 0"),
        ({"completed": 37, "failed": 3}, True, "failed 3 of 40"),
        ({"completed": 38, "failed": 2}, True, ""),
        ({"short": 3}, True, "broke off 3 of 40"),
        ({"short": 3}, False, ""),
        ({"output_tokens": 0}, True, "answered none"),
        ({"at_once": 3}, True, "sent 3 of 40 answers in one piece"),
        ({"at_once": 2}, True, ""),
        ({}, True, ""),
    ],
)
def test_what_came_back_is_judged(changes, whole, said):
    target, level = Target("http://127.0.0.1:1", "m"), LoadLevel(wb.Workload(32, 8, 4), 40)
    if not said:
        _judge(outcome(**changes), target, Manner("m", whole=whole), level, None)
        return
    with pytest.raises(WorkbenchError, match=said):
        _judge(outcome(**changes), target, Manner("m", whole=whole), level, None)


def test_a_key_of_somebody_else_is_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert _variables("http://127.0.0.1:1", "id", None)["OPENAI_API_KEY"] == ""
    assert _variables("http://127.0.0.1:1", "id", "mine")["OPENAI_API_KEY"] == "mine"
    monkeypatch.setenv("NO_PROXY", "corp")
    assert _variables("http://127.0.0.1:1", "id", None)["NO_PROXY"] == "corp,127.0.0.1,localhost,::1"
    assert "NO_PROXY" not in _variables("http://elsewhere:1", "id", None)


def test_the_meter_reads_only_what_there_is():
    with StreamingServer() as server, Meter(server.url) as meter:
        pass
    assert meter.served is None
    with Meter("http://127.0.0.1:1") as meter:
        pass
    assert meter.served is None
    at: list[StreamingServer] = []
    with StreamingServer(metrics=lambda: page(at)) as server, Meter(server.url, every=0.05) as meter:
        time.sleep(0.2)
    assert (meter.served.kv_cache_usage, meter.served.acceptance) == (0.25, None)


def test_the_command_says_no_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with StreamingServer(lambda _: "500") as server:
        assert main(["bench", server.url, "--isl", "8", "--osl", "4"]) == 1
        assert "HTTP 500: CUDA error" in capfd.readouterr().err
        for wrong in (
            ["--concurrency", "1", "--request-rate", "2"],
            ["--concurrency", "0"],
            ["--percentile", "97", "--max-ttft", "1"],
            ["--served-model", "llama"],
            ["--max-model-len", "5"],
            ["--api-key-env", "NOT_SET_ANYWHERE"],
        ):
            assert main(["bench", server.url, *wrong]) == 2
            assert capfd.readouterr().err.strip().splitlines()[-1].startswith("workbench: ")
    with StreamingServer() as server:
        assert main(["bench", server.url, "--isl", "8", "--osl", "4"]) == 2
        assert "nobody knows the tokenizer of stand-in" in capfd.readouterr().err
    assert main(["bench"]) == 2
