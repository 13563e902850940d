import { checkbox, code, field, gib, h, listen, mount, number, progressBar, table, textBox, watchKernel } from "./shared.js";
import { drafting } from "./parts/draft.js";
import { wherePicker } from "./parts/where.js";

// Methods of quantisation side by side: chosen on the left with what each will need, run and compared on the right.

const size = (bytes) => (bytes == null ? "–" : bytes >= 2 ** 28 ? `${gib(bytes)} GiB` : `${number(bytes / 2 ** 20)} MiB`);
const signed = (share) => (share == null ? "–" : `${share > 0 ? "+" : ""}${number(share * 100)} %`);
const small = (value) => (value == null ? "–" : value === 0 ? "0" : value.toPrecision(2));
const span = (seconds) => (seconds < 90 ? `${Math.max(Math.round(seconds / 5) * 5, 5)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${number(seconds / 3600)} h`);
const OVER = new Set(["done", "failed", "refused", "cancelled"]);

function panel(root, model) {
  const watch = watchKernel(model, root);
  const draft = drafting(model);
  const { send, ask } = draft;
  const box = (name, placeholder) => textBox((value) => send({ [name]: value }), { placeholder });

  const inputs = { model: box("model"), folder: box("folder"), gpu: box("gpu", "any"), data: box("data", "the built-in text") };
  const own = h("input", { type: "text", class: "wb-input", spellcheck: "false", autocomplete: "off", placeholder: "awq:q_group_size=64" });
  const ownHint = h("p", { class: "wb-hint", "aria-live": "polite" });
  const describe = () => {
    const method = own.value.split(":")[0].trim();
    const row = model.get("preflight").find((each) => each.word.split(":")[0] === method);
    ownHint.textContent = row ? row.parameters.map((p) => `${p.name} (${p.default}): ${p.accepts}`).join("; ") : "METHOD:NAME=VALUE,NAME=VALUE adds it to the list.";
  };
  own.addEventListener("input", describe);
  own.addEventListener("change", () => own.value.trim() && ask("add", { word: own.value.trim() }));
  const fields = {
    model: field("Model: builtin, a folder or a hub id", inputs.model),
    gpu: field("GPU it is for", inputs.gpu),
    folder: field("Folder that keeps what is tried", inputs.folder),
    data: field("Calibration text", inputs.data),
    methods: field("A method with parameters of your own", own),
  };
  const load = checkbox("Start each result in the engines it is for", (value) => send({ load: value }));
  const where = wherePicker(model, ask);
  const advice = h("div", { class: "wb-suits", role: "status" });
  const list = h("ul", { class: "wb-methods", tabindex: "0", "aria-label": "Methods" });
  const sizes = h("p", { class: "wb-hint" });
  const toggle = (word) => (value) => {
    const chosen = draft.now().methods;
    send({ methods: value ? [...chosen, word] : chosen.filter((other) => other !== word) });
  };
  const boxes = new Map();
  const showMethods = () => {
    boxes.clear();
    list.replaceChildren(
      ...model.get("preflight").map((row) => {
        const check = checkbox(row.title, toggle(row.word));
        check.title = [row.library, row.note].filter(Boolean).join(". ");
        boxes.set(row.word, check);
        const needs = row.against
          ? h("span", { class: "wb-problem" }, row.against)
          : h("span", { class: "wb-muted" }, row.bytes == null ? row.library : `${size(row.bytes)}, ${number(row.bits)} bits, needs ${size(row.memory)}${row.seconds == null ? "" : `, about ${span(row.seconds)}`}`);
        const told = [...row.notes, row.note].filter(Boolean).join(" ");
        return h("li", {}, check, needs, told ? h("small", { class: "wb-hint wb-told" }, told) : null);
      }),
    );
    sizes.textContent = model.get("preflight").some((row) => row.bytes != null || row.against)
      ? "Size of the result, bits of a quantised weight, memory and time the job will need (that within a factor of three): estimated before anything runs."
      : "The model is not here yet: what each method needs is known once it is.";
    showChoice();
  };

  const showAdvice = () => {
    const found = model.get("advice");
    advice.hidden = !found.length;
    advice.replaceChildren(
      h("p", { class: "wb-label" }, `Suits ${draft.now().gpu} best`),
      h("ol", {}, found.map((one) => h("li", {}, h("strong", {}, one.title), h("small", { class: "wb-hint" }, [...one.why.slice(0, 3), `loses ${one.loss}`].join("; "))))),
    );
  };

  const start = h("button", { type: "button", class: "wb-button", onclick: () => ask("start") }, "Try them");
  const cancel = h("button", { type: "button", class: "wb-button wb-quiet", onclick: () => ask("cancel") }, "Cancel all");
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const steps = h("ul", { class: "wb-trying", "aria-live": "polite" });
  const told = h("p", { class: "wb-hint" }, "Measured on held-out text, the smallest first. ★: nothing tried is both smaller and nearer to the original.");
  const result = h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "What was tried" });
  const words = h("div");
  const python = code("The same in Python");
  root.append(
    h(
      "div",
      { class: "wb-columns" },
      h("form", { class: "wb-card wb-choices", "aria-label": "What to try", onsubmit: (event) => event.preventDefault() }, fields.model, fields.gpu, advice, h("h3", {}, "Methods"), list, sizes, fields.methods, ownHint, load, where, h("details", { class: "wb-more" }, h("summary", {}, "Folder and calibration"), fields.folder, fields.data)),
      h("section", { class: "wb-card", "aria-label": "Methods tried" }, h("div", { class: "wb-panelhead" }, h("h2", {}, "Methods side by side")), general, h("div", { class: "wb-buttons" }, start, cancel), steps, told, result, words, python),
    ),
  );

  const showChoice = () => {
    const choice = draft.settle();
    for (const [name, input] of Object.entries(inputs)) input.show(choice[name]);
    load.show(choice.load);
    for (const [word, check] of boxes) check.show(choice.methods.includes(word));
    const count = choice.methods.length;
    if (!running()) start.textContent = count === 1 ? "Try it" : `Try these ${count}`;
    start.disabled = running() || !count;
    python.show(model.get("python"));
  };
  const running = () => model.get("steps").some((step) => !OVER.has(step.status));

  const bars = new Map();
  const showSteps = () => {
    const list = model.get("steps");
    for (const step of list) {
      if (!bars.has(step.word)) {
        const bar = progressBar(step.title);
        const state = h("span", { class: "wb-state" });
        const stop = h("button", { type: "button", class: "wb-button wb-quiet", "aria-label": `Cancel ${step.title}`, onclick: () => ask("cancel", { word: step.word }) }, "Cancel");
        const why = h("p", { class: "wb-hint" });
        bars.set(step.word, { bar, state, stop, why, root: h("li", {}, h("div", { class: "wb-panelhead" }, h("strong", {}, step.title), state, stop), bar, why) });
      }
      const { bar, state, stop, why } = bars.get(step.word);
      state.textContent = step.status;
      state.dataset.state = step.status === "done" ? "succeeded" : step.status;
      stop.hidden = OVER.has(step.status);
      bar.hidden = step.status !== "running";
      bar.show(step.progress);
      why.hidden = !step.reason || step.status === "cancelled";
      why.textContent = step.reason;
    }
    steps.replaceChildren(...list.map((step) => bars.get(step.word).root));
    cancel.hidden = !running();
    showChoice();
  };

  const showRows = () => {
    const rows = model.get("rows").filter((row) => row.outcome === "done");
    result.hidden = told.hidden = !rows.length;
    const measured = rows.filter((row) => row.kl_divergence != null);
    result.replaceChildren(
      table(
        [
          { title: "Method", header: true, cell: (row) => [row.front ? h("span", { class: "wb-front", title: "Nothing tried is both smaller and nearer to the original" }, "★ ") : null, row.title] },
          { title: "Size", right: true, cell: (row) => size(row.bytes) },
          { title: "Bits", right: true, cell: (row) => number(row.bits) },
          { title: "Perplexity", right: true, cell: (row) => (row.change == null ? "–" : h("span", { title: `90 %: ${signed(row.change_low)} to ${signed(row.change_high)}` }, signed(row.change))) },
          { title: "KL", right: true, cell: (row) => small(row.kl_divergence) },
          { title: "Same word", right: true, cell: (row) => (row.top1_agreement == null ? "–" : `${(row.top1_agreement * 100).toFixed(1)} %`) },
          { title: "Loads in", cell: (row) => row.loads_in || "–" },
          { title: "", cell: (row) => h("button", { type: "button", class: "wb-button wb-quiet", "aria-label": `Serve ${row.title}`, onclick: () => ask("pick", { word: row.label }) }, "Serve") },
        ],
        rows,
        { className: "wb-tried" },
      ),
    );
    words.replaceChildren(...(measured.length && model.get("picked") ? [h("p", { class: "wb-hint", role: "status" }, `To be served: ${model.get("picked")}`)] : []));
  };
  const showProblems = () => {
    const problems = model.get("problems");
    for (const [key, element] of Object.entries(fields)) element.problem(problems[key]);
    where.problem(problems.on);
    const rest = Object.entries(problems).filter(([key]) => key !== "on" && !fields[key]);
    general.hidden = !rest.length;
    general.textContent = rest.map(([, text]) => text).join(" ");
  };
  const unlisten = listen(model, {
    "change:choice": showChoice,
    "change:python": showChoice,
    "change:preflight": showMethods,
    "change:advice": showAdvice,
    "change:where": where.show,
    "change:steps": showSteps,
    "change:rows": showRows,
    "change:picked": showRows,
    "change:problems": showProblems,
    "msg:custom": (message) => {
      if (message.added) own.value = "";
      describe();
      showProblems();
    },
  });
  describe();
  showMethods();
  showAdvice();
  showSteps();
  showRows();
  showProblems();
  return () => {
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
