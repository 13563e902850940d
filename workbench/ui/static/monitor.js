import { GIB, code, duration, gib, h, listen, mount, number, percent, table, uid, watchKernel, whole } from "./shared.js";
import { liveChart } from "./parts/live.js";

// A running engine and its machine: what limits it, its numbers, and charts of the last five minutes. Python sends the
// newest point; what is older is kept here, so long as the page is open.

const words = {
  limited: ["tight", "!", "Limited"],
  healthy: ["yes", "✓", "Healthy"],
  idle: ["yes", "✓", "Idle"],
  "not known": ["none", "?", "Not known"],
};
const states = { ready: "answers", starting: "starting", unreachable: "does not answer", silent: "tells no numbers", stopped: "stopped" };
const rate = (value) => `${number(value)}/s`;

function panel(root, model) {
  const watch = watchKernel(model, root);
  root.classList.add("wb-monitor");
  const ask = (action, args = {}) => model.send({ action, arguments: args });

  const state = h("span", { class: "wb-state", role: "status" });
  const url = h("span");
  const told = h("span");
  const stop = h("button", { type: "button", class: "wb-button wb-small" });
  stop.addEventListener("click", () => ask(model.get("about").running ? "stop" : "again"));
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });

  // Only the verdict is read aloud, and only when it changes: its numbers do so each second.
  const icon = h("span", { class: "wb-icon", "aria-hidden": "true" });
  const title = h("h2");
  const summary = h("p");
  const verdict = h("div", { class: "wb-verdict", role: "status", "aria-live": "polite", "aria-atomic": "true" }, icon, h("div", {}, title, summary));
  const findings = h("ul", { class: "wb-findings", "aria-label": "Findings" });

  const figures = {};
  const figure = (key, label, format) => {
    const value = h("p", { class: "wb-value" }, "–");
    figures[key] = (given) => {
      const text = given == null ? "–" : format(given);
      if (value.textContent !== text) value.textContent = text;
    };
    return h("div", { class: "wb-headline" }, value, h("p", { class: "wb-name" }, label));
  };
  const numbers = h(
    "div",
    { class: "wb-headlines" },
    figure("running", "requests running", whole),
    figure("waiting", "waiting", whole),
    figure("kv_usage", "of the KV cache", percent),
    figure("generation_tokens_per_s", "tokens/s said", number),
    figure("ttft_p50", "to first token, median", duration),
    figure("itl_p50", "between tokens, median", duration),
  );

  const gap = 2.5 * Math.max(model.get("about").every ?? 1, 1);
  const chart = (fields, title, lines, format, options) => ({ fields, element: liveChart(title, lines, format, { gap, ...options }), on: (point) => fields.some((field) => point[field] != null) });
  const charts = [
    chart(["generation_tokens_per_s", "prompt_tokens_per_s"], "Tokens", [{ name: "said", colour: "weights" }, { name: "of prompts", colour: "activation_peak" }], rate),
    chart(["running", "waiting"], "Requests", [{ name: "running", colour: "weights" }, { name: "waiting", colour: "activation_peak" }], whole),
    chart(["kv_usage"], "KV cache in use", [{ name: "", colour: "kv_cache" }], percent, { top: 1 }),
    chart(["ttft_p50", "ttft_p95"], "Time to first token", [{ name: "median", colour: "weights" }, { name: "95 %", colour: "cuda_graphs" }], duration),
    chart(["itl_p50", "itl_p95"], "Time between tokens", [{ name: "median", colour: "weights" }, { name: "95 %", colour: "cuda_graphs" }], duration),
    chart(["card_utilization", "card_memory"], "Cards, the busiest and the fullest", [{ name: "busy", colour: "weights" }, { name: "memory", colour: "kv_cache" }], percent, { top: 1 }),
    chart(["cpu"], "Processors busy", [{ name: "", colour: "weights" }], percent, { top: 1 }),
    chart(["engine_gib"], "Memory of the engine's processes", [{ name: "", colour: "kv_cache" }], (size) => `${number(size)} GiB`),
  ];
  const lives = h("div", { class: "wb-lives" });
  const cards = h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "Cards", hidden: true });
  const python = code("The same in Python");
  const waiting = h("p", { class: "wb-muted" }, "The first reading is on its way.");
  root.append(
    h(
      "section",
      { class: "wb-card", "aria-label": "Monitor" },
      h("div", { class: "wb-panelhead" }, h("h2", {}, "Monitor"), h("span", { class: "wb-buttons" }, state, stop)),
      h("p", { class: "wb-source" }, url, told),
      general, waiting, verdict, findings, numbers, lives, cards, python,
    ),
  );

  const unit = (value, name) => (value == null ? "–" : `${whole(value)} ${name}`);
  const share = (card) => (card.memory_total ? card.memory_used / card.memory_total : null);
  let shownCards = "";
  const showCards = (list) => {
    cards.hidden = !list.length;
    const key = JSON.stringify(list);
    if (key === shownCards) return;
    shownCards = key;
    cards.replaceChildren(
      table(
        [
          { title: "Card", header: true, cell: (c) => (c.lost ? `${c.name}: ${c.lost}` : `${c.index}: ${c.name}`) },
          { title: "Memory", right: true, cell: (c) => (c.memory_total == null ? "–" : `${gib(c.memory_used, 1)} of ${gib(c.memory_total, 1)} GiB`) },
          { title: "Busy", right: true, cell: (c) => percent(c.utilization) },
          { title: "Power", right: true, cell: (c) => (c.power == null ? "–" : `${whole(c.power)}${c.power_limit == null ? "" : ` of ${whole(c.power_limit)}`} W`) },
          { title: "Heat", right: true, cell: (c) => unit(c.temperature, "°C") },
          { title: "Clocks", cell: (c) => (c.slowed == null ? "–" : c.slowed.length ? `lowered: ${c.slowed.join(", ")}` : "free") },
        ],
        list,
        { className: "wb-cards" },
      ),
    );
  };

  // Lines are made once and filled: a second's change is a few texts, not new elements.
  const lineOf = () => {
    const text = h("strong");
    const evidence = h("dl", { class: "wb-numbers" });
    const change = h("ul", { class: "wb-do" });
    const element = h("li", {}, text, evidence, change);
    let [pairs, changes] = [[], ""];
    element.show = (finding, verdict) => {
      element.dataset.limits = finding.limits;
      // What the verdict says already is not said twice.
      const said = finding.text === verdict ? "What it rests on, and what to change" : `${finding.about[0].toUpperCase()}${finding.about.slice(1)}: ${finding.text}`;
      if (text.textContent !== said) text.textContent = said;
      const names = finding.evidence.map(([name]) => name).join("\n");
      if (names !== pairs.names) {
        pairs = finding.evidence.map(([name]) => ({ value: h("dd"), name }));
        pairs.names = names;
        evidence.replaceChildren(...pairs.map((pair) => h("div", {}, h("dt", {}, pair.name), pair.value)));
      }
      finding.evidence.forEach(([, value], at) => { if (pairs[at].value.textContent !== value) pairs[at].value.textContent = value; });
      const key = JSON.stringify(finding.changes);
      if (key !== changes) {
        changes = key;
        change.replaceChildren(...finding.changes.map((one) => h("li", {}, one.setting.startsWith("-") || one.setting.startsWith("nvidia") ? h("code", {}, one.setting) : h("b", {}, one.setting), h("span", {}, ` ${one.text}`))));
      }
    };
    return element;
  };
  const lines = [];
  const showDiagnosis = (diagnosis) => {
    const [look, sign, name] = words[diagnosis.verdict] ?? words["not known"];
    if (verdict.dataset.state !== look || icon.textContent !== sign) {
      verdict.dataset.state = look;
      icon.textContent = sign;
    }
    const about = diagnosis.verdict === "limited" ? `${name}: ${diagnosis.findings[0].about}` : name;
    if (title.textContent !== about) title.textContent = about;
    if (summary.textContent !== diagnosis.text) summary.textContent = diagnosis.text;
    while (lines.length < diagnosis.findings.length) lines.push(lineOf());
    diagnosis.findings.forEach((finding, at) => lines[at].show(finding, diagnosis.text));
    if (findings.childElementCount !== diagnosis.findings.length) findings.replaceChildren(...lines.slice(0, diagnosis.findings.length));
    findings.hidden = !diagnosis.findings.length;
  };

  let last = 0;
  let due = false;
  const draw = () => {
    due = false;
    for (const { element } of charts) if (element.isConnected) element.draw(last);
  };
  const showNow = () => {
    const { point, diagnosis } = model.get("now");
    for (const element of [waiting, verdict, numbers, lives]) element.hidden = element === waiting ? Boolean(point) : !point;
    if (!point) {
      findings.hidden = true;
      return;
    }
    watch.answered();
    if (state.dataset.state !== point.state) {
      state.dataset.state = point.state;
      state.textContent = states[point.state] ?? point.state;
    }
    const restarts = point.restarts ? `began anew ${point.restarts === 1 ? "once" : `${point.restarts} times`}` : "";
    if (told.textContent !== restarts) told.textContent = restarts;
    showDiagnosis(diagnosis);
    for (const [key, show] of Object.entries(figures)) show(point[key]);
    numbers.hidden = Object.keys(figures).every((key) => point[key] == null) && point.state !== "ready";
    showCards(point.cards);
    if (point.time <= last) return; // the same point, shown again
    last = point.time;
    const alive = point.cards.filter((card) => !card.lost);
    const most = (list) => (list.some((value) => value != null) ? Math.max(...list.filter((value) => value != null)) : null);
    const values = { ...point, card_utilization: most(alive.map((card) => card.utilization)), card_memory: most(alive.map(share)), engine_gib: point.engine_rss == null ? null : point.engine_rss / GIB };
    for (const one of charts) {
      one.element.add(point.time, one.fields.map((field) => values[field]));
      // A chart comes with its first value, in its place, and stays.
      if (!one.element.isConnected && one.on(values)) lives.insertBefore(one.element, charts.slice(charts.indexOf(one) + 1).map((next) => next.element).find((next) => next.parentNode === lives) ?? null);
    }
    if (!due && document.visibilityState !== "hidden") {
      due = true;
      requestAnimationFrame(draw);
    }
  };
  const showAbout = () => {
    const about = model.get("about");
    url.textContent = about.url || "Nothing is watched yet.";
    stop.hidden = !about.url;
    stop.textContent = about.running ? "Stop watching" : "Watch again";
    python.hidden = !model.get("python");
    python.show(model.get("python"));
  };
  const showProblems = () => {
    const texts = Object.values(model.get("problems"));
    general.hidden = !texts.length;
    general.textContent = texts.join(" ");
  };

  // Python sends nothing to a page that nobody sees.
  const view = uid("view");
  const look = () => {
    ask("look", { view, visible: document.visibilityState !== "hidden" });
    if (document.visibilityState !== "hidden") draw();
  };
  document.addEventListener("visibilitychange", look);
  const unlisten = listen(model, {
    "change:now": showNow,
    "change:about": showAbout,
    "change:python": showAbout,
    "change:problems": showProblems,
    "msg:custom": showProblems,
  });
  showAbout();
  showNow();
  showProblems();
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    ask("look", { view, visible: null });
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
