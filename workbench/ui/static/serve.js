import { code, duration, field, gib, h, listen, logBox, mount, number, numberBox, progressBar, watchKernel, whole } from "./shared.js";
import { drafting } from "./parts/draft.js";
import { wherePicker } from "./parts/where.js";

// Serve: start, stages, log, a prompt box with sampling parameters, the smoke test.

const marks = { passed: "✓", failed: "✕", skipped: "–" };

function panel(root, model) {
  const watch = watchKernel(model, root);
  const draft = drafting(model, "prompt");
  const { send, ask } = draft;
  const button = (label, action, quiet) => h("button", { type: "button", class: `wb-button${quiet ? " wb-quiet" : ""}`, onclick: () => ask(action) }, label);

  const where = wherePicker(model, ask);
  const state = h("span", { class: "wb-state", role: "status" });
  const start = button("Start the server", "start");
  const stop = button("Stop", "stop", true);
  const smoke = button("Smoke test", "smoke", true);
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const failure = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const bar = progressBar("Starting the server");
  const facts = h("div", { class: "wb-headlines" });
  const log = logBox("Log of the server");
  const logs = h("details", {}, h("summary", {}, "Log"), log);
  const steps = h("ul", { class: "wb-steps" });
  const python = code("The same in Python");

  const text = h("textarea", { class: "wb-input", rows: 3 });
  text.addEventListener("input", () => send({ text: text.value }));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); event.stopPropagation(); send({ text: text.value }); ask("ask"); }
    event.stopPropagation(); // JupyterLab would take Shift+Enter and the like for its own
  });
  const prompt = field("Prompt", text, { hint: "Ctrl+Enter sends it" });
  const inputs = {};
  const sampling = Object.entries(model.get("sampling")).map(([name, [value, low, high]]) => {
    const box = numberBox((v) => send({ [name]: v ?? value }), { min: low, max: high, step: Number.isInteger(value) && high > 2 ? 1 : 0.05 });
    inputs[name] = field(name.replaceAll("_", " "), box);
    inputs[name].show = box.show;
    return inputs[name];
  });
  const generate = button("Generate", "ask");
  const said = h("p", { class: "wb-said", role: "status", "aria-live": "polite", hidden: true });
  const speed = h("p", { class: "wb-hint" });

  root.append(
    h(
      "section",
      { class: "wb-card", "aria-label": "Server" },
      h("div", { class: "wb-panelhead" }, h("h2", {}, "Serve"), state),
      general, failure, where,
      h("div", { class: "wb-buttons" }, start, stop, smoke),
      bar, facts, steps, logs,
      h("form", { class: "wb-prompt", "aria-label": "Try a prompt", onsubmit: (event) => event.preventDefault() }, prompt, h("div", { class: "wb-fields" }, sampling), generate, said, speed),
      python,
    ),
  );

  const fact = (value, unit, label) => h("div", { class: "wb-headline" }, h("p", { class: "wb-value" }, value, unit ? h("small", {}, ` ${unit}`) : null), h("p", { class: "wb-name" }, label));
  const showState = () => {
    const s = model.get("state");
    const [starting, ready] = [s.status === "starting", s.status === "ready"];
    state.hidden = !s.status;
    state.dataset.state = s.status;
    state.textContent = s.status === "starting" ? s.stage || "starting" : s.status;
    start.disabled = starting || ready;
    where.hidden = s.attached || /^https?:/.test(s.source);
    stop.disabled = !(starting || ready) || s.attached;
    smoke.disabled = generate.disabled = !ready;
    bar.hidden = !starting;
    if (s.progress) bar.show(s.progress);
    failure.hidden = !s.error;
    failure.textContent = s.error ?? "";
    logs.hidden = !s.log;
    if (s.status === "failed") logs.open = true;
    log.show(s.log ?? "");
    facts.hidden = !ready;
    facts.replaceChildren(
      ...(ready
        ? [
            s.ready_seconds == null ? null : fact(duration(s.ready_seconds), "", "until ready"),
            s.kv_cache == null ? null : fact(gib(s.kv_cache), "GiB", "KV cache, as vLLM says"),
            s.kv_cache_tokens == null ? null : fact(whole(s.kv_cache_tokens), "tokens", "in that cache"),
            s.max_concurrency == null ? null : fact(`${number(s.max_concurrency)}×`, "", "requests of full length"),
            fact(s.version || "–", "", s.url),
          ].filter(Boolean)
        : []),
    );
  };
  const showSaid = () => {
    const s = model.get("said");
    said.hidden = s.text == null;
    said.setAttribute("aria-busy", String(Boolean(s.busy)));
    said.textContent = s.text === "" && !s.busy && !s.error ? "(an empty answer)" : (s.text ?? "");
    speed.textContent = s.error ?? (s.tokens == null ? "" : `${whole(s.tokens)} tokens in ${duration(s.seconds)}: ${number(s.tokens_per_s)} tokens/s, the first after ${duration(s.ttft)}; ended by ${s.finish === "length" ? "the limit of tokens" : s.finish}`);
  };
  const showSteps = () =>
    steps.replaceChildren(...model.get("steps").map((s) => h("li", { "data-status": s.status }, h("b", {}, marks[s.status]), ` ${s.name} `, h("span", { class: "wb-muted" }, `${s.detail} (${duration(s.seconds)})`))));
  const showPrompt = () => {
    const asked = draft.settle();
    if (document.activeElement !== text) text.value = asked.text;
    for (const [name, input] of Object.entries(inputs)) input.show(asked[name]);
  };
  const showProblems = () => {
    const problems = model.get("problems");
    prompt.problem(problems.text);
    for (const [name, input] of Object.entries(inputs)) input.problem(problems[name]);
    where.problem(problems.on);
    const rest = Object.entries(problems).filter(([name]) => name !== "text" && name !== "on" && !inputs[name]);
    general.hidden = !rest.length;
    general.textContent = rest.map(([, words]) => words).join(" ");
  };
  const showPython = () => python.show(model.get("python"));
  const handlers = {
    "change:python": showPython,
    "change:where": where.show,
    "change:state": showState,
    "change:said": showSaid,
    "change:steps": showSteps,
    "change:prompt": showPrompt,
    "change:problems": showProblems,
    "msg:custom": showProblems,
  };
  for (const show of Object.values(handlers)) show();
  const unlisten = listen(model, handlers);
  return () => {
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
