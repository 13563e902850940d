import { combobox, field, h, inApp, listen, mount, select, uid, watchKernel, whole } from "./shared.js";
import { addressBook } from "./parts/address.js";
import { asking, replies } from "./parts/asking.js";
import { chartPlace } from "./parts/chart.js";
import { chips } from "./parts/chips.js";
import { csvButton, printButton } from "./parts/download.js";
import { figure, sideBySide, sideRows } from "./parts/figures.js";
import { doublings, form, problemPlace } from "./parts/form.js";
import { onPaper } from "./parts/paper.js";
import { presetField, serviceFields, serviceWords, workloadFields, workloadWords } from "./parts/workload.js";

// Compare: what to compare left, the matrix, the front, two cards and two plans right.

const plural = (count) => (count === 1 ? "1 GPU" : `${whole(count)} GPUs`);
const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
const last = (name) => name.slice(name.lastIndexOf("/") + 1);

function cell(found, format, pick) {
  if (!found.fits) return h("td", { class: "wb-cell wb-none", title: found.reason }, "–", h("small", {}, found.verdict === "unsupported" ? "not supported" : "does not fit"), h("span", { class: "wb-hidden" }, found.reason));
  const words = found.meets ? plural(found.gpus) : `${plural(found.gpus)}, misses`;
  return h(
    "td",
    { class: `wb-cell${found.best ? " wb-best-cell" : ""}${found.meets ? "" : " wb-missed"}`, style: `--wb-shade:${found.shade ?? 0}` },
    h(
      "button",
      { type: "button", class: "wb-pick", onclick: pick, title: "Plan with this" },
      h("span", {}, format(found.value), found.best ? h("span", { class: "wb-star" }, " ★") : null),
      h("small", {}, words),
      found.best ? h("span", { class: "wb-hidden" }, ", the best") : null,
      found.meets ? null : h("span", { class: "wb-hidden" }, " the service level"),
    ),
  );
}

function matrixTable(matrix, pick) {
  const format = figure(matrix.unit);
  return h(
    "table",
    { class: "wb-table wb-matrix" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Weights"), matrix.columns.map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      matrix.rows.map((line) => h("tr", {}, h("th", { scope: "row" }, line.title), line.cells.map((found) => cell(found, format, () => pick(found.gpu, line.scheme))))),
    ),
  );
}

/** What is compared, in words: on paper there are no controls. */
const printedLines = (choice, engine) => [
  ["Model", choice.config ? "its own config.json" : choice.model],
  ["Engine", `${engine}, context length ${whole(choice.max_model_len)}`],
  ["Workload", workloadWords(choice)],
  ["Service level", serviceWords(choice)],
];

function panel(root, model, context) {
  root.classList.add("wb-compare");
  const options = model.get("options");
  const { defaults } = options;
  const useUrl = model.get("url") && inApp();
  const watch = watchKernel(model, root);
  const ask = asking(model, watch, defaults);
  const { draft, change } = ask;
  const controls = form(change);
  const { fields, set, add } = controls;

  // -- choices
  const modelPicker = combobox((value) => change({ model: value, config: null }));
  const engineOf = (name) => options.engines.find((engine) => engine.value === name) ?? options.engines[0];
  const cards = chips("GPUs to compare", "Add a GPU", options.gpus, set("gpus"));
  const schemes = chips("Weights", "Add a format", engineOf(draft().engine).schemes, set("schemes"));
  const preset = presetField(options.presets, change, draft);
  const engineHint = h("p", { class: "wb-hint" });
  add("model", field("Model", modelPicker), modelPicker.show, options.models);
  add("gpus", cards, cards.show);
  add("schemes", schemes, schemes.show);
  const choices = h(
    "form",
    { class: "wb-card wb-choices", "aria-label": "What to compare", onsubmit: (event) => event.preventDefault() },
    fields.model.root,
    cards,
    controls.segments("most_gpus", "GPUs at most", options.counts),
    schemes,
    controls.slider("max_model_len", "Context length", doublings(512, 131072), { unit: "tokens" }),
    preset,
    ...workloadFields(controls),
    serviceFields(controls, options.percentiles),
    engineHint,
  );

  // -- answers
  const titled = { matrix: uid("matrix"), front: uid("front"), sides: uid("cards"), plans: uid("plans") };
  const paper = h("div");
  const general = problemPlace(controls, choices);
  const shownFigure = select(options.figures, set("figure"));
  const matrix = h("div", { class: "wb-scroll wb-matrix-place", tabindex: "0", role: "region", "aria-label": "Formats by GPUs" });
  const matrixHint = h("p", { class: "wb-hint", role: "status" });
  const name = (what) => `${last(draft().model)} ${what}`;
  const matrixCard = h(
    "section",
    { class: "wb-card wb-answer", "aria-labelledby": titled.matrix },
    general,
    paper,
    h("div", { class: "wb-panelhead" }, h("h2", { id: titled.matrix }, "Which format on which GPU"), h("div", { class: "wb-buttons" }, csvButton("All as CSV", () => name("formats and GPUs"), () => model.get("table")), printButton())),
    add("figure", field("Figure", shownFigure), shownFigure.show),
    matrix,
    matrixHint,
  );

  const chart = chartPlace(context, "Cost against time per output token");
  const chartCard = h(
    "section",
    { class: "wb-card", "aria-labelledby": titled.front },
    h("h2", { id: titled.front }, "What is worth its money"),
    h("p", { class: "wb-hint" }, "Every number of GPUs is a point. Along the dotted line nothing is both cheaper and faster. Faint points miss the service level."),
    chart,
  );

  const left = combobox(set("left"));
  const right = combobox(set("right"));
  const sides = h("div");
  const words = h("ul", { class: "wb-words", "aria-live": "polite" });
  const cardsCard = h(
    "section",
    { class: "wb-card", "aria-labelledby": titled.sides },
    h("div", { class: "wb-panelhead" }, h("h2", { id: titled.sides }, "Two GPUs"), csvButton("CSV", () => `${draft().left} and ${draft().right}`, () => rowsOf(model.get("answer").cards))),
    h("div", { class: "wb-pair" }, add("left", field("First GPU", left), left.show, options.gpus), add("right", field("Second GPU", right), right.show, options.gpus), controls.segments("cards", "GPUs together", options.counts)),
    words,
    sides,
  );
  const rowsOf = (found) => sideRows(found.lines, found.a, found.b);

  const one = select([{ value: "", label: "" }], set("one"));
  const two = select([{ value: "", label: "" }], set("two"));
  const pair = h("div", { class: "wb-pair" }, add("one", field("First plan", one), () => {}), add("two", field("Second plan", two), () => {}));
  const noPlans = h("p", { class: "wb-hint" });
  const planSides = h("div");
  const keptList = h("ul", { class: "wb-chips", "aria-label": "Kept plans" });
  const plansCsv = csvButton("CSV", () => `${model.get("answer").plans.a} and ${model.get("answer").plans.b}`, () => rowsOf(model.get("answer").plans));
  const plansCard = h(
    "section",
    { class: "wb-card", "aria-labelledby": titled.plans },
    h("div", { class: "wb-panelhead" }, h("h2", { id: titled.plans }, "Two plans"), plansCsv),
    noPlans,
    pair,
    planSides,
    keptList,
  );
  root.append(h("div", { class: "wb-columns" }, choices, h("div", { class: "wb-stack" }, matrixCard, chartCard, cardsCard, plansCard)));

  // Elements are replaced only when what they show has changed, so a focus survives.
  const drawn = new Map();
  const draw = (element, key, make) => {
    const text = JSON.stringify(key);
    if (drawn.get(element) === text) return;
    drawn.set(element, text);
    element.replaceChildren(...[make()].flat().filter(Boolean));
  };
  const pick = (gpu, quantization) => model.send({ action: "pick", arguments: { gpu, quantization } });
  const remove = (plan) => {
    const { [plan]: _, ...rest } = model.get("plans");
    model.set("plans", rest);
    model.save_changes();
  };

  let charted = null; // the answer that the chart was asked for
  const showAnswer = () => {
    const got = model.get("answer");
    if (!got?.matrix) return;
    const { most_gpus } = model.get("choice");
    draw(matrix, got.matrix, () => matrixTable(got.matrix, pick));
    const load = capital(workloadWords(model.get("choice")));
    const which = `${load}. Each cell: the number of GPUs, up to ${most_gpus}, that is cheapest per token${got.asked ? " and meets the service level" : ""}.`;
    draw(matrixHint, which, () => [which, h("span", { class: "wb-screen" }, " Click one to plan with it.")]);
    draw(words, got.cards.words, () => got.cards.words.map((text) => h("li", {}, text)));
    draw(sides, got.cards, () => sideBySide(got.cards.lines, got.cards.a, got.cards.b));
    chart.legend(got.legend);
    const { names, lines, a, b } = got.plans;
    const enough = names.length > 1;
    pair.hidden = plansCsv.hidden = !enough;
    noPlans.hidden = enough;
    plansCard.classList.toggle("wb-screen", !enough); // two plans that are not there are not worth paper
    noPlans.textContent = names.length ? "Keep another plan in the Plan tab, and both stand here side by side." : "Keep two plans in the Plan tab, and they stand here side by side.";
    const listed = names.map((plan) => ({ value: plan, label: plan }));
    one.show(a, listed);
    two.show(b, listed);
    draw(planSides, got.plans, () => (enough ? sideBySide(lines, a, b) : []));
    draw(keptList, names, () => names.map((plan) => h("li", {}, h("span", {}, plan), h("button", { type: "button", class: "wb-remove", "aria-label": `Forget ${plan}`, onclick: () => remove(plan) }, "×"))));
    keptList.hidden = !names.length;
    if (got !== charted) chart.ask();
    charted = got;
  };

  const showChoice = () => {
    const engine = engineOf(draft().engine);
    fields.schemes.choices = engine.schemes;
    preset.show();
    engineHint.textContent = `Engine: ${engine.label}, as on the Plan tab.`;
    for (const [field, { show, choices: list }] of Object.entries(fields)) show(draft()[field] ?? null, list);
    if (draft().config) modelPicker.value = "Your own config.json";
  };

  const showProblems = () => general.show(model.get("problems"));

  // -- the address of the page
  const address = addressBook({ ...defaults, plans: {} }, ["model"]);
  const writeUrl = () => {
    if (useUrl) address.write({ ...model.get("choice"), plans: model.get("plans") });
  };
  const { onAnswer, onReply } = replies(ask, [showAnswer, showChoice, showProblems, writeUrl], showProblems);
  const unprinted = onPaper(paper, () => printedLines(model.get("choice"), engineOf(draft().engine).label));
  const unlisten = listen(model, { "msg:custom": onReply, "change:answer": onAnswer, "change:plans": onAnswer, "change:problems": showProblems });

  const { plans: given, ...chosen } = useUrl ? address.read() : {};
  if (given && typeof given === "object" && Object.keys(given).length) {
    model.set("plans", given);
    model.save_changes();
  }
  showAnswer();
  if (Object.keys(chosen).length) change(chosen);
  else writeUrl();
  showChoice();
  showProblems();

  return () => {
    watch.stop();
    address.stop();
    chart.stop();
    unprinted();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
