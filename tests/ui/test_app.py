"""The planner app in a real browser: what a stakeholder does, and what must never happen to them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import expect
from visiting import CULL_AFTER, App, Visit, ask, wait_until

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def test_a_token_is_needed(app: App) -> None:
    assert httpx.get(f"http://127.0.0.1:{app.port}/", follow_redirects=False).status_code == 302
    login = httpx.get(f"http://127.0.0.1:{app.port}/?token=wrong", follow_redirects=True, timeout=60)
    assert login.url.path == "/login"
    assert "jupyter-config-data" not in login.text


def test_a_control_changes_the_numbers(visit: Open) -> None:
    page = visit()
    before = page.number("requests of 8K at once")
    page.page.get_by_label("Context length", exact=True).press("ArrowRight")
    expect(page.page.locator(".wb-headlines")).to_contain_text("requests of 16K at once")
    assert page.number("requests of 16K at once") != before
    page.page.get_by_label("Quantisation").select_option("AWQ 4-bit")
    expect(page.page.locator(".wb-code").first).to_contain_text("awq")
    assert page.errors == []
    assert page.elsewhere() == []


def test_a_choice_taken_back_at_once_is_answered(visit: Open) -> None:
    page = visit().page
    tokens = page.get_by_label("Input tokens")
    for text in ("2000", "1024", "3000", "1024", "512"):  # faster than answers come
        tokens.evaluate("(e, text) => { e.value = text; e.dispatchEvent(new Event('input')) }", text)
    expect(page.locator(".wb-speed")).to_contain_text("512 in, 256 out")
    tokens.fill("4096")
    expect(page.locator(".wb-speed")).to_contain_text("4K in, 256 out")


def test_keyboard_alone_finds_a_model_and_a_fix(visit: Open) -> None:
    page = visit().page
    page.get_by_label("Model", exact=True).focus()
    page.keyboard.type("llama-3.1-70b instruct")
    expect(page.get_by_label("Model", exact=True)).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator(".wb-verdict h2")).to_have_text("Does not fit: the weights are too big")
    page.locator(".wb-fix").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".wb-verdict")).to_have_attribute("data-state", re.compile("yes|tight"))


def test_escape_restores_the_picker(visit: Open) -> None:
    page = visit().page
    gpu = page.get_by_label("GPU", exact=True)
    gpu.fill("zzz")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    gpu.press("Escape")
    expect(gpu).to_have_value("L40S")
    expect(gpu).to_have_attribute("aria-expanded", "false")


def test_an_alias_finds_the_card(visit: Open) -> None:
    page = visit().page
    gpu = page.get_by_label("GPU", exact=True)
    gpu.fill("80gb hbm3")
    gpu.press("Enter")
    expect(gpu).to_have_value(re.compile("H100"))
    expect(page.locator(".wb-scale")).to_contain_text("79.")


def test_the_address_holds_the_choice_and_not_the_token(visit: Open, app: App) -> None:
    first = visit()
    page = first.page
    page.get_by_label("GPU", exact=True).fill("H200 SXM")
    page.keyboard.press("Enter")
    page.get_by_label("4", exact=True).check()
    page.get_by_label("Quantisation").select_option("FP8")
    page.get_by_label("Input tokens").fill("3000")
    page.get_by_label("Concurrent requests", exact=True).press("ArrowRight")
    expect(page.locator(".wb-speed")).to_contain_text("3,000 in, 256 out, 32 at once")
    expect(page).to_have_url(re.compile("concurrency=32"))  # written once the controls rest
    query = parse_qs(urlsplit(page.url).query)
    assert query["gpu"] == ["H200 SXM"]
    assert query["tensor_parallel_size"] == ["4"]
    assert "token" not in query
    numbers = page.locator(".wb-headlines").inner_text()
    # Someone else opens the same address, with a token of their own.
    other = visit("&" + urlsplit(page.url).query)
    expect(other.page.get_by_label("Input tokens")).to_have_value("3000")
    expect(other.page.get_by_label("GPU", exact=True)).to_have_value("H200 SXM")
    shown = other.page.locator(".wb-headlines")
    wait_until(lambda: shown.inner_text() == numbers, 20, "the other page shows the same numbers")
    expect(other.page).to_have_url(page.url)


def test_a_bad_address_is_answered_with_a_sentence(visit: Open) -> None:
    page = visit("&gpu=L40T").page
    expect(page.locator(".wb-problem:visible")).to_contain_text("Unknown GPU 'L40T'; did you mean")
    expect(page.get_by_label("GPU", exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_path_in_the_address_reads_no_file(visit: Open, tmp_path: object) -> None:
    page = visit(f"&model={tmp_path}").page
    expect(page.locator(".wb-problem:visible")).to_contain_text("choose one from the list")


def test_what_cannot_be_is_said_at_its_control(visit: Open) -> None:
    seen = visit()
    page = seen.page
    before = page.locator(".wb-headlines").inner_text()
    page.get_by_label("Output tokens").fill("0")
    message = page.locator(".wb-field", has=page.get_by_label("Output tokens")).locator(".wb-problem")
    expect(message).to_contain_text("must be a whole number of at least 1")
    expect(page.locator(".wb-answer")).to_have_class(re.compile("wb-stale"))
    assert page.locator(".wb-headlines").inner_text() == before
    page.get_by_label("Output tokens").fill("")
    expect(message).to_contain_text("is empty")
    page.get_by_label("Output tokens").fill("512")
    expect(message).to_be_hidden()
    expect(page.locator(".wb-answer")).not_to_have_class(re.compile("wb-stale"))
    assert "Traceback" not in page.content()
    assert seen.errors == []


def test_own_gpu(visit: Open) -> None:
    page = visit().page
    page.get_by_label("GPU", exact=True).fill("your own")
    page.keyboard.press("Enter")
    page.get_by_label("Memory [GiB]").fill("100")
    expect(page.locator(".wb-scale")).to_contain_text("100.00 GiB")
    page.get_by_label("Bandwidth [GB/s]").fill("")
    expect(page.locator(".wb-own-gpu .wb-problem:visible")).to_contain_text("Bandwidth is missing")
    page.get_by_label("Bandwidth [GB/s]").fill("4000")
    expect(page.locator(".wb-own-gpu .wb-problem:visible")).to_have_count(0)
    page.wait_for_url("**4000*")  # the address is written once the controls rest
    page.reload()
    expect(page.get_by_label("Bandwidth [GB/s]")).to_have_value("4000")
    page.get_by_role("button", name="Back to the list").first.click()
    expect(page.get_by_label("GPU", exact=True)).to_have_value("L40S")


CONFIG = """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048, "num_hidden_layers": 16,
"num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 32000,
"max_position_embeddings": 4096, "torch_dtype": "bfloat16"}"""


def test_own_config(visit: Open) -> None:
    page = visit("&max_model_len=2048").page
    page.get_by_label("Model", exact=True).fill("your own")
    page.keyboard.press("Enter")
    area = page.get_by_label("Your model’s config.json")
    weights = page.locator(".wb-memory tbody tr").first
    before = weights.inner_text()
    area.fill('{"model_type": ')
    expect(page.locator(".wb-own-model .wb-problem")).to_contain_text("This is not JSON")
    area.fill('{"model_type": "no-such-thing"}')
    expect(page.locator(".wb-own-model .wb-problem")).to_be_visible()
    page.set_input_files(
        "input[type=file]", {"name": "config.json", "mimeType": "application/json", "buffer": CONFIG.encode()}
    )
    expect(page.locator(".wb-own-model .wb-problem")).to_be_hidden()
    expect(weights).not_to_have_text(before)
    page.wait_for_url("**config=*")
    page.reload()
    expect(page.get_by_label("Your model’s config.json")).to_have_value(re.compile("num_hidden_layers"))


def test_the_command_is_copied(visit: Open, app: App) -> None:
    page = visit().page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=f"http://127.0.0.1:{app.port}")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.locator(".wb-copied").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("vllm serve meta-llama/Llama-3.1-8B-Instruct")


@pytest.mark.parametrize("query", ["", "&model=meta-llama/Llama-3.1-70B-Instruct"])
def test_nothing_is_cut_off_on_a_phone(visit: Open, query: str) -> None:
    page = visit(query, width=420).page
    page.locator("summary", has_text="More engine options").click()
    page.locator("summary", has_text="All GPUs").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert ask(page, "wide") == []


def test_dark_mode_has_contrast(visit: Open) -> None:
    page = visit(scheme="dark").page
    card, text, muted, verdict, words = (_luminance(colour) for colour in ask(page, "colours"))
    assert card < 0.05
    assert _contrast(card, text) >= 7
    assert _contrast(card, muted) >= 4.5
    assert _contrast(verdict, words) >= 4.5
    page.emulate_media(color_scheme="light")
    expect(page.locator(".wb").first).not_to_have_class(re.compile("wb-dark"))


def _luminance(colour: str) -> float:
    parts = [int(p) / 255 for p in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_every_control_has_a_name_and_every_reference_a_target(visit: Open) -> None:
    page = visit().page
    for summary in page.locator("summary").all():
        summary.click()
    for check in ("nameless", "dangling", "doubled"):
        assert ask(page, check) == [], check
    assert page.locator(".wb-verdict").get_attribute("aria-live") == "polite"
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_card_of_the_table_is_planned_with(visit: Open) -> None:
    page = visit().page
    page.locator("summary", has_text="All GPUs").click()
    page.get_by_label("Search").fill("hopper 144")
    expect(page.locator(".wb-gpus tbody tr")).to_have_count(1)
    page.get_by_label("Search").fill("")
    page.get_by_label("Memory", exact=True).select_option("180 GB and more")
    page.locator("[data-key=bandwidth]").click()
    cells = page.locator(".wb-gpus tbody tr td:nth-child(3)").all_inner_texts()
    speeds = [float(text.split()[0].replace(",", "")) for text in cells]
    assert speeds == sorted(speeds, reverse=True)
    assert len(speeds) > 3
    page.get_by_role("button", name="Sources of H100 SXM5").wait_for(state="detached")
    page.get_by_label("Memory", exact=True).select_option("Any memory")
    page.get_by_role("button", name="Sources of H100 SXM5").click()
    expect(page.locator(".wb-details")).to_contain_text("Hopper")
    page.get_by_role("button", name="H100 SXM5", exact=True).click()
    expect(page.get_by_label("GPU", exact=True)).to_have_value("H100 SXM5")
    expect(page.locator(".wb-scale")).to_contain_text("H100 SXM5")


def test_a_dead_kernel_says_what_to_do(visit: Open, app: App) -> None:
    page = visit()
    app.kernels()[page.kernel_id()].kill()
    page.page.get_by_label("Input tokens").fill("2000")
    banner = page.page.locator(".wb-banner").first
    expect(banner).to_contain_text("Reload the page: your choice is kept in its address", timeout=20_000)
    page.page.reload()
    page.page.locator(".wb-verdict h2").wait_for(timeout=30_000)
    expect(page.page.locator(".wb-banner:visible")).to_have_count(0)


def test_no_source_and_no_code_reaches_the_page(visit: Open, app: App) -> None:
    page = visit().page
    assert "import" not in page.locator("main").inner_text()
    assert "PlannerPanel(" not in page.content()
    cookies = {c["name"]: c["value"] for c in page.context.cookies()}
    for override in ("voila-template=lab", "voila-theme=dark", "template=lab"):
        answer = httpx.get(f"{app.url}&{override}", cookies=cookies, timeout=60)
        assert 'data-workbench-app="planner"' in answer.text


def test_a_warm_kernel_is_not_culled_as_it_is_taken(visit: Open) -> None:
    # Idle in the pool for longer than the cull time; the culler looks every second, a page takes about one.
    for _ in range(3):
        time.sleep(CULL_AFTER + 1.5)
        assert visit().verdict() == "Fits"


def test_visits_leave_no_kernel_behind(app: App, visit: Open) -> None:
    visits = [visit() for _ in range(3)]
    ids = {v.kernel_id() for v in visits}
    assert len(ids) == 3
    assert ids <= set(app.kernels())
    for each in visits:
        each.page.close(run_before_unload=True)
    wait_until(lambda: not ids & set(app.kernels()), 6 * CULL_AFTER + 10, "the kernels of closed pages end")
    wait_until(lambda: len(app.kernels()) <= app.warm, 6 * CULL_AFTER + 10, "only the pool is left")


def test_another_engine_has_its_own_settings(visit: Open) -> None:
    visited = visit()
    page = visited.page
    engine = page.get_by_label("Engine", exact=True)
    engine.select_option(label="llama.cpp")
    expect(page.locator(".wb-answer")).to_contain_text("llama-server")
    expect(page.get_by_label("Quantisation")).to_have_value("q4_k_m")
    page.get_by_text("More engine options").click()
    expect(page.get_by_label("Layers on the GPU")).to_be_visible()
    expect(page.get_by_label("GPU memory utilisation")).to_be_hidden()
    page.get_by_label("Layers on the GPU").fill("20")
    expect(page.locator(".wb-answer")).to_contain_text("13 of 33 layers")
    engine.select_option(label="vLLM")
    expect(page.locator(".wb-answer")).to_contain_text("vllm serve")
    expect(page.get_by_label("Quantisation")).to_have_value("null")
    expect(page.get_by_label("GPU memory utilisation")).to_be_visible()
    assert visited.errors == []
