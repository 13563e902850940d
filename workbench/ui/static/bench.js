import { code, duration, field, h, listen, mount, number, progressBar, table, watchKernel, whole } from "./shared.js";
import { drafting } from "./parts/draft.js";
import { embed } from "./parts/embed.js";
import { form, row, scaledBox } from "./parts/form.js";
import { wherePicker } from "./parts/where.js";
import { serviceFields } from "./parts/workload.js";

// Measure: loads chosen on the left; on the right what came back, the plan beside it, and what later plans learn of it.

const WORDS = { done: "succeeded" };
const KINDS = [{ value: "concurrency", label: "In flight" }, { value: "request_rate", label: "Per second" }];

/** Loads as they are typed; a list once Python has read them. */
const typed = (loads) => (Array.isArray(loads) ? loads.join(", ") : loads);

function panel(root, model, context) {
  const watch = watchKernel(model, root);
  const draft = drafting(model);
  const { send, ask } = draft;
  const controls = form(send);
  const more = (title, ...children) => h("details", { class: "wb-more" }, h("summary", {}, title), children);
  const about = () => model.get("about");

  // The key goes to the kernel and is not kept here: what is in no trait is in no saved notebook.
  const key = h("input", { type: "password", class: "wb-input", spellcheck: "false", autocomplete: "new-password" });
  key.addEventListener("change", () => {
    ask("key", { value: key.value.trim() });
    key.value = "";
  });
  controls.add("key", field("API key", key), () => {});
  const where = wherePicker(model, ask);
  controls.add("on", where, () => {});
  const asked = h("p", { class: "wb-hint wb-loads", "aria-live": "polite" });
  const choices = h(
    "form",
    { class: "wb-card wb-choices", "aria-label": "What is asked of which server", onsubmit: (event) => event.preventDefault() },
    controls.text("url", "Server", { placeholder: about().source || "http://host:port" }),
    where,
    controls.segments("kind", "Requests", KINDS),
    controls.text("loads", "How many, one load after the other", { placeholder: "1, 2, 4, 8" }),
    row(controls.number("isl", "Input tokens", { min: 1, step: 1 }), controls.number("osl", "Output tokens", { min: 1, step: 1 })),
    asked,
    controls.check("sweep", "Stop at the load that is too much"),
    serviceFields(controls, about().percentiles.map((value) => ({ value, label: `for ${value} % of requests` }))),
    more(
      "Number, spread, prefix",
      controls.number("requests", "Requests of each load", { min: 1, step: 1, placeholder: "four rounds, or 20 s; 16 at least" }),
      row(controls.number("isl_cv", "Spread of input", { min: 0, max: 0.57, step: 0.1 }), controls.number("osl_cv", "Spread of output", { min: 0, max: 0.57, step: 0.1 })),
      controls.simple("prefix_hit", "Beginning that all have in common [%]", scaledBox(0.01, controls.set("prefix_hit"), { min: 0, max: 100, step: 5 })),
    ),
    more(
      "Server and files",
      controls.text("out", "Folder that keeps what is measured", { placeholder: "nothing is kept" }),
      controls.text("model", "Model, as clients name it", { placeholder: "the first that is served" }),
      controls.text("tokenizer", "Tokenizer that makes the prompts", { placeholder: "the served model’s" }),
      controls.fields.key.root,
    ),
  );

  const status = h("span", { class: "wb-state", role: "status" });
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const failure = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const start = h("button", { type: "button", class: "wb-button", onclick: () => ask("start") }, "Measure");
  const cancel = h("button", { type: "button", class: "wb-button wb-quiet", onclick: () => ask("cancel") }, "Cancel");
  const bar = progressBar("Measuring");
  const empty = h("p", { class: "wb-hint" }, "The server is asked for one whole answer first. Then each load is warmed up and measured, with prompts that no cache has seen.");
  const result = h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "Loads that were measured" });
  const legend = h("p", { class: "wb-hint" });
  const conclusions = h("div", { class: "wb-concluded", "aria-live": "polite" });
  const plot = h("div", { class: "wb-plot" });
  const chart = h("figure", { class: "wb-chart", "aria-label": "Loads, measured and planned" }, plot, h("figcaption", {}, h("ul", { class: "wb-keys" }, about().legend.map((entry) => h("li", {}, h("span", { style: `color:${entry.colour}`, "aria-hidden": "true" }, entry.mark), entry.text)))));
  const remarks = h("ul", { class: "wb-words wb-muted" });
  const agreement = h("p", { class: "wb-agreement" });
  const sentences = h("ul", { class: "wb-words" });
  const planned = h("details", {}, h("summary", {}, "Plan and measurement in words"), sentences);
  const kept = h("p", { class: "wb-hint" });
  const learn = h("button", { type: "button", class: "wb-button wb-quiet", onclick: () => ask("correct") }, "Use these for the next plans");
  const learned = h("ul", { class: "wb-words", role: "status" });
  const changed = h("ul", { class: "wb-words" });
  const changes = h("details", {}, h("summary", {}, "What the plan says now"), changed);
  const refused = h("p", { class: "wb-problem", role: "alert", hidden: true });
  const later = h(
    "section",
    { class: "wb-take", "aria-label": "Later plans" },
    h("h3", {}, "Later plans"),
    h("p", { class: "wb-hint" }, "Learns from the folder’s loads, three at least, what the engine costs on this machine, and keeps that among your own tables: every later plan for this engine and card rests on it."),
    h("div", { class: "wb-buttons" }, learn),
    refused,
    learned,
    changes,
  );
  const python = code("The same in Python");
  root.append(
    h(
      "div",
      { class: "wb-columns" },
      choices,
      h(
        "section",
        { class: "wb-card wb-measured", "aria-label": "Benchmark" },
        h("div", { class: "wb-panelhead" }, h("h2", {}, "Measure"), status),
        general, failure, h("div", { class: "wb-buttons" }, start, cancel), bar, empty, conclusions, result, legend, chart, agreement, planned, remarks, kept, later, python,
      ),
    ),
  );

  const running = () => model.get("state").status === "running";
  const items = (list, lines) => list.replaceChildren(...lines.map((line) => h("li", {}, line)));

  /** The interval that was planned, and whether it held. */
  const beside = (plan, format) =>
    plan == null
      ? null
      : h("small", { class: `wb-span ${plan.inside ? "wb-better" : "wb-worse"}`, title: `planned ${format(plan.value)}` }, `plan ${format(plan.low)} – ${format(plan.high)}`, h("span", { "aria-hidden": "true" }, plan.inside ? " ✓" : " ✕"), h("span", { class: "wb-hidden" }, plan.inside ? ", held" : ", not held"));
  const times = (each, plan) => (each == null ? "–" : [h("strong", {}, duration(each.mean)), h("small", { class: "wb-span" }, `p95 ${duration(each.p95)}`), beside(plan, duration)]);
  const showRows = () => {
    const rows = model.get("rows");
    result.hidden = legend.hidden = !rows.length;
    result.replaceChildren(
      table(
        [
          {
            title: "Load",
            header: true,
            cell: (r) => [
              r.within ? h("span", { class: "wb-front", title: "The largest load within the service level" }, "★ ") : null,
              r.load,
              h("small", { class: `wb-span${r.failed ? "" : " wb-answered"}` }, `${whole(r.completed)} answered${r.failed ? `, ${whole(r.failed)} failed` : ""}`),
              r.broken ? h("small", { class: "wb-broken" }, r.broken) : null,
            ],
          },
          { title: "TTFT", right: true, cell: (r) => times(r.ttft, r.plan.ttft) },
          { title: "TPOT", right: true, cell: (r) => times(r.tpot, r.plan.tpot) },
          { title: "ITL", right: true, cell: (r) => times(r.itl) },
          { title: "Output/s", right: true, cell: (r) => [h("strong", {}, number(r.output_tokens_per_s)), beside(r.plan.output_tokens_per_s, number)] },
          { title: "Requests/s", right: true, cell: (r) => h("strong", {}, number(r.requests_per_s)) },
        ],
        rows,
        { className: "wb-levels" },
      ),
    );
    const star = rows.some((r) => r.within) ? " ★: the largest load within the service level." : "";
    const held = rows.some((r) => Object.keys(r.plan).length) ? " ✓ and ✕: whether the plan’s 90 % interval holds the mean." : "";
    legend.textContent = `Means over the requests, 95th percentiles below them; output in tokens.${held}${star}`;
  };
  const showState = () => {
    const s = model.get("state");
    status.hidden = !s.status;
    status.dataset.state = WORDS[s.status] ?? s.status;
    status.textContent = s.status;
    start.disabled = running();
    start.textContent = s.status && !running() ? "Measure again" : "Measure";
    cancel.hidden = bar.hidden = !running();
    if (s.progress) bar.show(s.progress);
    failure.hidden = !s.error;
    failure.textContent = s.error ?? "";
    failure.classList.toggle("wb-ended", s.status === "cancelled"); // as it was asked for
    empty.hidden = Boolean(s.status);
    conclusions.replaceChildren(...(s.conclusions ?? []).map((line) => h("p", {}, line)));
    items(remarks, s.remarks ?? []);
    remarks.hidden = !s.remarks?.length;
    agreement.hidden = !s.agreement;
    agreement.textContent = s.agreement ?? "";
    items(sentences, s.planned ?? []);
    planned.hidden = !s.planned?.length;
    kept.hidden = !s.kept;
    kept.textContent = s.kept ?? "";
    showLearned();
  };
  let drawn = "";
  const showChart = () => {
    const reference = model.get("chart");
    chart.hidden = !reference;
    if (reference === drawn) return;
    drawn = reference;
    plot.replaceChildren();
    if (reference) embed(context, reference, plot);
  };
  const showLearned = () => {
    const c = model.get("correction");
    const s = model.get("state");
    later.hidden = s.status !== "done";
    learn.disabled = !s.table || c.status === "running" || running();
    learn.textContent = c.status === "running" ? "Learning …" : "Use these for the next plans";
    refused.hidden = !c.error;
    refused.textContent = c.error ?? "";
    items(learned, c.said ?? []);
    learned.hidden = !c.said?.length;
    items(changed, c.changes ?? []);
    changes.hidden = !c.changes?.length;
  };
  const showChoice = () => {
    const choice = draft.settle();
    for (const [name, { show }] of Object.entries(controls.fields)) show(name === "loads" ? typed(choice.loads) : choice[name]);
    where.hidden = !about().starts || Boolean(choice.url); // what runs stays where it is
    key.placeholder = about().key ? "•••••••• (known to the kernel)" : "none";
    asked.textContent = model.get("loads").map((load) => `${load.label}: ${whole(load.requests)} requests`).join("; ");
    python.show(model.get("python"));
  };
  const showProblems = () => {
    const rest = controls.mark(model.get("problems"));
    general.hidden = !rest.length;
    general.textContent = rest.join(" ");
    for (const fold of choices.querySelectorAll("details")) if (fold.querySelector("[aria-invalid=true]")) fold.open = true;
  };
  const unlisten = listen(model, {
    "change:choice": showChoice,
    "change:where": where.show,
    "change:loads": showChoice,
    "change:about": showChoice,
    "change:python": showChoice,
    "change:rows": () => {
      showRows();
      showState();
    },
    "change:state": showState,
    "change:correction": showLearned,
    "change:chart": showChart,
    "change:problems": showProblems,
    "msg:custom": showProblems,
  });
  showChoice();
  showRows();
  showState();
  showChart();
  showProblems();
  return () => {
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
