import { basisTag, code, combobox, duration, field, h, inApp, interval, listen, mount, number, percent, table, tokens, usd, watchKernel, whole } from "./shared.js";
import { addressBook } from "./parts/address.js";
import { asking, replies } from "./parts/asking.js";
import { csvButton, printButton } from "./parts/download.js";
import { figure } from "./parts/figures.js";
import { form, problemPlace, row, scaledBox } from "./parts/form.js";
import { onPaper } from "./parts/paper.js";
import { presetField } from "./parts/workload.js";

// The Advisor: what a service is to be left, three plans right, and under them why the rest was not taken.

const last = (name) => name.slice(name.lastIndexOf("/") + 1);
const states = { yes: "yes", "over budget": "tight", missed: "no", none: "no" };
const icons = { yes: "✓", "over budget": "!", missed: "✕", none: "✕" };
// Other panels of the page keep a model and a GPU in the address too.
const PREFIX = "need.";
const prefixed = (choice) => Object.fromEntries(Object.entries(choice).map(([name, value]) => [PREFIX + name, value]));
const unprefixed = (choice) => Object.fromEntries(Object.entries(choice).map(([name, value]) => [name.slice(PREFIX.length), value]));

// ---- pieces of the answer ------------------------------------------------------------------------------

const chance = (share) => (share > 0.99 ? ">99 %" : share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`);
const speed = (tpot) => (tpot > 0 ? `${number(1 / tpot)} tokens/s` : "–");

function line(name, value, range, bad) {
  return h("div", { class: `wb-adviceline${bad ? " wb-bad" : ""}` }, h("dt", {}, name), h("dd", {}, value, range ? h("small", { class: "wb-span" }, range) : null));
}

const figureOf = (unit) => (unit === "share" ? chance : unit === "requests" || unit === "users" ? number : figure(unit));

function figuresTable(figures) {
  return table(
    [
      { title: "Figure", header: true, cell: (f) => [f.name, h("small", { class: "wb-span wb-why" }, f.words)] },
      { title: "Value", right: true, cell: (f) => [figureOf(f.unit)(f.value), f.low === f.high ? null : h("small", { class: "wb-span" }, interval(f, figureOf(f.unit)))] },
      { title: "Rests on", right: true, cell: (f) => basisTag(f.basis) },
    ],
    figures,
    { className: "wb-figures" },
  );
}

function planCard(plan, at, choice, pick) {
  const asked = choice.percentile === 50 ? "mean" : `${choice.percentile} %`;
  const limit = choice.tokens_per_s ? 1 / choice.tokens_per_s : null;
  const own = plan.users == null ? `${number(plan.requests_per_s)} requests/s` : `${whole(plan.users)} users`;
  const room = plan.users == null ? `${number(plan.room)} requests/s` : `${whole(plan.room)} users`;
  const fast = plan.tpot && { low: plan.tpot.high, high: plan.tpot.low };
  return h(
    "li",
    { class: "wb-advice", "data-meets": String(plan.meets && plan.within_budget) },
    h("p", { class: "wb-advicetitle" }, plan.titles.join(" · ")),
    h("h3", { class: "wb-advicename" }, plan.name),
    h("p", { class: "wb-muted" }, plan.division, h("br"), plan.weights),
    h("p", { class: "wb-value" }, plan.usd_per_month ? usd(Math.round(plan.usd_per_month.value)) : "no price", h("small", {}, " a month")),
    plan.usd_per_month ? h("p", { class: "wb-range" }, interval(plan.usd_per_month, (v) => usd(Math.round(v))), " between offers") : null,
    h(
      "dl",
      { class: "wb-advicelines" },
      line("Serves", own, plan.meets ? `room for ${room}` : null),
      line(`First token, ${asked}`, duration(plan.ttft.value), interval(plan.ttft, duration), choice.ttft != null && plan.ttft.value > choice.ttft),
      line(`Speed, ${asked}`, speed(plan.tpot.value), interval(fast, (v) => number(1 / v)), limit != null && plan.tpot.value > limit * 1.0001),
      line("Chance to meet it", chance(plan.probability)),
    ),
    h("h4", {}, "Why"),
    h("ul", { class: "wb-words" }, plan.reasons.map((text) => h("li", {}, text))),
    plan.tradeoffs.length ? h("h4", {}, "What you pay") : null,
    h("ul", { class: "wb-words" }, plan.tradeoffs.map((text) => h("li", {}, text))),
    h("div", { class: "wb-buttons wb-screen" }, h("button", { type: "button", class: "wb-button wb-small", onclick: () => pick(at), "aria-label": `Look closer at ${plan.name}, ${plan.titles[0]}` }, "Look closer")),
  );
}

/** Where the numbers of a plan come from, and what starts it; folded. */
function planDetails(plan) {
  const command = code("One replica, as vLLM starts it");
  command.show(plan.command);
  return h("details", { class: "wb-more" }, h("summary", {}, `${plan.titles[0]}: where each number comes from, and the command`), h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": `Figures of ${plan.name}, ${plan.titles[0]}` }, figuresTable(plan.figures)), command);
}

function rejectedTable(families) {
  return table(
    [
      { title: "GPU", header: true, cell: (f) => f.name },
      { title: "A month", right: true, cell: (f) => (f.usd_per_month == null ? "–" : usd(Math.round(f.usd_per_month))) },
      { title: "Why", cell: (f) => [h("span", { class: "wb-why" }, f.text), f.best ? h("small", { class: "wb-span wb-why" }, f.best) : null] },
    ],
    families.map((family) => ({ ...family, className: family.kind === "taken" ? "wb-taken" : null })),
    { className: "wb-rejected" },
  );
}

function changesTable(changes, present, take) {
  const against = (cost) => {
    if (cost == null || present == null) return "";
    const by = cost - present;
    if (Math.abs(by) < 1) return h("span", { class: "wb-muted" }, "the same");
    return h("span", { class: by < 0 ? "wb-better" : "wb-worse" }, `${by < 0 ? "−" : "+"}${usd(Math.round(Math.abs(by)))}`);
  };
  return table(
    [
      { title: "If you …", header: true, cell: (c) => h("button", { type: "button", class: "wb-link", onclick: () => take(c.fields), title: "Ask for that" }, c.text) },
      { title: "Cheapest", right: true, cell: (c) => (c.usd_per_month == null ? h("span", { class: "wb-muted" }, "none") : [usd(Math.round(c.usd_per_month)), h("small", { class: "wb-span" }, against(c.usd_per_month))]) },
      { title: "With", cell: (c) => h("span", { class: "wb-why wb-muted" }, c.best) },
    ],
    changes,
    { className: "wb-changes" },
  );
}

const holds = (value) => (value == null ? ["–", "cannot be told"] : value ? ["✓", "holds here"] : ["✕", "does not hold here"]);

function ruleList(rules) {
  return h(
    "ul",
    { class: "wb-rules" },
    rules.map((rule) => {
      const [icon, told] = holds(rule.holds);
      return h("li", { "data-holds": String(rule.holds) }, h("span", { class: "wb-icon", "aria-hidden": "true" }, icon), h("div", {}, h("b", {}, `${rule.rule}: ${told}.`), h("p", { class: "wb-muted" }, rule.text)));
    }),
  );
}

/** All plans and cards as rows to take along. */
function csvRows(answer) {
  const head = ["what", "gpus", "gpu", "replicas", "spare", "division", "weights", "usd_per_month", "low", "high", "ttft [s]", "tpot [s]", "probability", "users", "room"];
  const plans = answer.plans.map((p) => [p.titles.join(" / "), p.gpus, p.gpu, p.replicas, p.spare, p.division, p.weights, p.usd_per_month?.value, p.usd_per_month?.low, p.usd_per_month?.high, p.ttft.value, p.tpot.value, p.probability, p.users ?? p.requests_per_s, p.room]);
  const others = answer.rejected.filter((f) => f.kind !== "taken").map((f) => [f.text, "", f.name, "", "", f.best, "", f.usd_per_month]);
  return [head, ...plans, ...others];
}

function panel(root, model) {
  root.classList.add("wb-advisor");
  const options = model.get("options");
  const { defaults } = options;
  const useUrl = model.get("url") && inApp();
  const watch = watchKernel(model, root, 20_000);
  const ask = asking(model, watch, defaults);
  const { draft, change } = ask;
  const controls = form(change);
  const { fields, set, add } = controls;

  // -- choices
  const modelPicker = combobox(set("model"));
  add("model", field("Model", modelPicker, { hint: "Type a name or a size, such as 70B." }), modelPicker.show, options.models);
  const gpuPicker = combobox(set("gpu"));
  add("gpu", field("Hardware", gpuPicker), gpuPicker.show, options.gpus);
  const loadField = controls.segments("load", "Load", [{ value: "users", label: "Users" }, { value: "rate", label: "Requests/s" }]);
  const byUsers = h(
    "div",
    {},
    controls.number("users", "Users", { min: 1, step: 50 }),
    row(
      controls.simple("active_share", "Active at peak [%]", scaledBox(0.01, set("active_share"), { min: 0, max: 100, step: 1 })),
      controls.number("in_flight", "Requests each", { min: 0, step: 1 }),
    ),
    h("p", { class: "wb-hint wb-assumed" }, "Assumed, not measured: vLLM's own vllm:num_requests_running tells the product of the three."),
  );
  const byRate = h("div", {}, controls.number("requests_per_s", "Requests a second at the peak", { min: 0, step: 1 }));
  const preset = presetField(options.presets, change, draft);
  const choices = h(
    "form",
    { class: "wb-card wb-choices", "aria-label": "What the service is to be", onsubmit: (event) => event.preventDefault() },
    fields.model.root,
    loadField,
    byUsers,
    byRate,
    preset,
    row(
      controls.number("ttft", "First token within [s]", { min: 0, step: 0.1, placeholder: "any" }),
      controls.number("tokens_per_s", "Tokens/s to each", { min: 0, step: 5, placeholder: "any" }),
    ),
    controls.segments("percentile", "For this share of requests", options.percentiles),
    controls.number("usd_per_month", "Budget [USD a month]", { min: 0, step: 1000, placeholder: "none" }),
    controls.choice("floor", "Quality may lose", options.floors),
    h(
      "details",
      { class: "wb-more" },
      h("summary", {}, "Hardware and prices"),
      fields.gpu.root,
      controls.number("gpus", "GPUs at most", { min: 1, step: 1, placeholder: "any" }),
      controls.choice("price", "Paid", options.prices),
      controls.check("spare", "A spare replica (N + 1)"),
      controls.check("whole_nodes", "Whole machines only"),
    ),
    h(
      "details",
      { class: "wb-more" },
      h("summary", {}, "Requests in detail"),
      row(controls.number("isl", "Input tokens", { min: 1, step: 1 }), controls.number("osl", "Output tokens", { min: 1, step: 1 })),
      row(controls.number("isl_cv", "Spread of input", { min: 0, max: 10, step: 0.1 }), controls.number("osl_cv", "Spread of output", { min: 0, max: 10, step: 0.1 })),
      controls.simple("prefix_hit", "Input that the prefix cache holds [%]", scaledBox(0.01, set("prefix_hit"), { min: 0, max: 100, step: 5 })),
      controls.number("max_model_len", "Longest request, tokens", { min: 1, step: 1024 }),
    ),
  );

  // -- answer
  const general = problemPlace(controls, choices);
  const paper = h("div");
  const icon = h("span", { class: "wb-icon", "aria-hidden": "true" });
  const headline = h("h2", {});
  const summary = h("p", {});
  const verdict = h("div", { class: "wb-verdict", "aria-live": "polite", "aria-atomic": "true" }, icon, h("div", {}, headline, summary));
  const plans = h("ul", { class: "wb-plans", "aria-label": "Plans" });
  const details = h("div", { class: "wb-plandetails" });
  const compared = h("p", { class: "wb-hint" });
  const csv = csvButton("CSV", () => `${last(draft().model)} advice`, () => csvRows(model.get("answer")));
  const answerCard = h("section", { class: "wb-card wb-answer" }, general, paper, verdict, plans, details, h("div", { class: "wb-panelhead" }, compared, h("div", { class: "wb-buttons" }, csv, printButton())));
  const rejected = h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "Every card that was compared" });
  const rejectedCard = h("section", { class: "wb-card", "aria-labelledby": "wb-rejected-title" }, h("h2", { id: "wb-rejected-title" }, "Why not the other cards"), h("p", { class: "wb-hint" }, "Of each card, the cheapest deployment that meets everything but the budget, or how near it comes."), rejected);
  const changed = h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "What would change the answer" });
  const rules = h("div");
  const changedCard = h("section", { class: "wb-card", "aria-labelledby": "wb-changes-title" }, h("h2", { id: "wb-changes-title" }, "What would change it"), changed);
  const rulesCard = h("section", { class: "wb-card", "aria-labelledby": "wb-rules-title" }, h("h2", { id: "wb-rules-title" }, "Rules of thumb, tried here"), rules);
  root.append(h("div", { class: "wb-columns" }, choices, h("div", { class: "wb-stack" }, answerCard, changedCard, rejectedCard, rulesCard)));

  const pick = (plan) => model.send({ action: "pick", arguments: { plan } });
  let drawn = null; // the answer that is on the page
  let wanted = 0; // the number of the last question for more
  let told = null; // the answer it was about
  let near = false; // whether the reader is where it would stand
  let timer = null;
  const showAnswer = () => {
    const got = model.get("answer");
    if (!got?.verdict || got === drawn) return;
    drawn = got;
    const choice = model.get("choice");
    verdict.dataset.state = states[got.verdict];
    icon.textContent = icons[got.verdict];
    headline.textContent = got.headline;
    summary.textContent = got.summary;
    const open = [...details.children].map((fold) => fold.open);
    plans.replaceChildren(...got.plans.map((plan, at) => planCard(plan, at, choice, pick)));
    details.replaceChildren(...got.plans.map(planDetails));
    [...details.children].forEach((fold, at) => (fold.open = open[at] ?? false));
    compared.textContent = `${whole(got.tried)} deployments tried, ${whole(got.compared)} with their numbers of replicas compared.`;
    rejected.replaceChildren(rejectedTable(got.rejected));
    // What takes longer is asked for when the reader comes near it and nothing has changed for a moment.
    changed.classList.add("wb-stale");
    rules.classList.add("wb-stale");
    if (!changed.childElementCount) for (const place of [changed, rules]) place.replaceChildren(h("p", { class: "wb-hint" }, "Working it out …"));
    askForMore();
  };
  const askForMore = () => {
    clearTimeout(timer);
    const got = model.get("answer");
    if (!near || got === told) return;
    timer = setTimeout(() => {
      told = got;
      model.send({ action: "more", arguments: { number: ++wanted } });
    }, 400);
  };
  const arriving = new IntersectionObserver((entries) => {
    near = entries.some((entry) => entry.isIntersecting);
    askForMore();
  }, { rootMargin: "200px" });
  arriving.observe(changedCard);
  const showMore = () => {
    const more = model.get("more");
    if (!more.number || more.number !== wanted) return;
    if (more.failed) {
      for (const place of [changed, rules]) place.replaceChildren(h("p", { class: "wb-hint" }, "This could not be worked out; the plans above stand."));
    } else {
      const present = model.get("answer").plans[0]?.usd_per_month?.value;
      changed.replaceChildren(changesTable(more.changes, present, change));
      rules.replaceChildren(more.rules.length ? ruleList(more.rules) : h("p", { class: "wb-hint" }, "None applies."));
    }
    changed.classList.remove("wb-stale");
    rules.classList.remove("wb-stale");
  };

  const showChoice = () => {
    const rate = draft().load === "rate";
    byUsers.hidden = rate;
    byRate.hidden = !rate;
    preset.show();
    for (const [name, { show, choices: list }] of Object.entries(fields)) show(draft()[name] ?? null, list);
  };
  const showProblems = () => general.show(model.get("problems"));

  // -- the address of the page
  const address = addressBook(prefixed(defaults), [`${PREFIX}model`]);
  const writeUrl = () => {
    if (useUrl) address.write(prefixed(model.get("choice")));
  };
  const { onAnswer, onReply } = replies(ask, [showAnswer, showChoice, showProblems, writeUrl], showProblems);
  const printed = () => {
    const got = model.get("answer");
    return [["Asked", got.summary], ["Requests", `${tokens(draft().isl)} tokens in, ${tokens(draft().osl)} out, on average; ${percent(draft().prefix_hit)} of the input cached`]];
  };
  const unprinted = onPaper(paper, printed);
  const unlisten = listen(model, { "msg:custom": onReply, "change:answer": onAnswer, "change:problems": showProblems, "change:more": showMore });

  const chosen = useUrl ? unprefixed(address.read()) : {};
  if (Object.keys(chosen).length) change(chosen);
  showAnswer();
  if (!Object.keys(chosen).length) writeUrl();
  showChoice();
  showProblems();

  return () => {
    clearTimeout(timer);
    arriving.disconnect();
    watch.stop();
    address.stop();
    unprinted();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
