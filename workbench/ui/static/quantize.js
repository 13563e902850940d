import { checkbox, code, duration, field, gib, h, listen, logBox, mount, number, numberBox, progressBar, select, table, textBox, watchKernel } from "./shared.js";
import { drafting } from "./parts/draft.js";
import { wherePicker } from "./parts/where.js";

// Quantise: the method's own parameters on the left, the job on the right.

const size = (bytes) => (bytes == null ? "–" : bytes >= 2 ** 28 ? `${gib(bytes)} GiB` : `${number(bytes / 2 ** 20)} MiB`);

const change = (before, after) => `${after > before ? "+" : ""}${number((after / before - 1) * 100)} %`;

function panel(root, model) {
  const watch = watchKernel(model, root);
  const methods = model.get("options");
  const draft = drafting(model);
  const { send, ask } = draft;

  const name = textBox((value) => send({ model: value }));
  const out = textBox((value) => send({ out: value }), { placeholder: "named after model and method" });
  const kind = select(methods.map((m) => ({ value: m.id, label: m.title })), (value) => { send({ method: value, parameters: {} }); drawParameters(); });
  const data = textBox((value) => send({ data: value }), { placeholder: "the built-in text" });
  const download = checkbox("Fetch the model from the hub if it is not here", (value) => send({ download: value }));
  const overwrite = checkbox("Replace the folder if it exists", (value) => send({ overwrite: value }));
  const fields = {
    model: field("Model: builtin, a folder or a hub id", name),
    method: field("Method", kind),
    out: field("Result", out),
    data: field("Calibration text (.txt or .jsonl)", data),
  };
  const where = wherePicker(model, ask);
  const note = h("p", { class: "wb-hint" });
  const parameters = h("div", { class: "wb-fields" });
  let inputs = {};
  const set = (parameter) => (value) => send({ parameters: { ...draft.now().parameters, [parameter]: value } });

  const control = (p) => {
    if (p.kind === "bool") return checkbox(p.name, set(p.name));
    if (p.choices.length) {
      const list = p.choices.map((value) => ({ value, label: String(value) }));
      return select(p.optional ? [{ value: null, label: "none" }, ...list] : list, set(p.name));
    }
    if (p.kind === "int" || p.kind === "float")
      return numberBox((value) => set(p.name)(value == null && !p.optional ? p.default : value), { min: p.low, max: p.high, step: p.kind === "int" ? 1 : "any", placeholder: p.default == null ? "none" : String(p.default) });
    const text = h("input", { type: "text", class: "wb-input", placeholder: p.default == null ? "none" : String(p.default) });
    text.addEventListener("change", () => set(p.name)(text.value === "" ? p.default : text.value));
    text.show = (value) => { if (document.activeElement !== text) text.value = Array.isArray(value) ? value.join(", ") : (value ?? ""); };
    return text;
  };
  const drawParameters = () => {
    const method = methods.find((m) => m.id === draft.now().method);
    inputs = {};
    parameters.replaceChildren(
      ...method.parameters.map((p) => {
        const element = control(p);
        element.show(draft.now().parameters[p.name] ?? p.default);
        const line = p.kind === "bool" ? element : field(p.name, element);
        line.title = p.doc;
        inputs[p.name] = { line, show: element.show, default: p.default };
        return line;
      }),
    );
    note.textContent = `${method.library}. ${method.note} Loads in ${method.engines.join(", ")}.`;
  };

  const start = h("button", { type: "button", class: "wb-button", onclick: () => ask("start") }, "Quantise");
  const cancel = h("button", { type: "button", class: "wb-button wb-quiet", onclick: () => ask("cancel") }, "Cancel");
  const state = h("span", { class: "wb-state", role: "status" });
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const bar = progressBar("Quantising");
  const result = h("div");
  const log = logBox("Log of the job");
  const logs = h("details", {}, h("summary", {}, "Log"), log);
  const python = code("The same in Python");
  root.append(
    h(
      "div",
      { class: "wb-columns" },
      h("form", { class: "wb-card wb-choices", "aria-label": "What to quantise", onsubmit: (event) => event.preventDefault() }, fields.model, fields.method, note, fields.out, overwrite, download, where, h("details", { class: "wb-more" }, h("summary", {}, "Calibration and the method’s own parameters"), fields.data, parameters)),
      h("section", { class: "wb-card", "aria-label": "Job" }, h("div", { class: "wb-panelhead" }, h("h2", {}, "Quantise"), state), general, h("div", { class: "wb-buttons" }, start, cancel), bar, result, logs, python),
    ),
  );

  const showChoice = () => {
    const choice = draft.settle();
    name.show(choice.model);
    out.show(choice.out);
    data.show(choice.data);
    download.show(choice.download);
    kind.show(choice.method);
    overwrite.show(choice.overwrite);
    for (const [key, input] of Object.entries(inputs)) input.show(choice.parameters[key] ?? input.default);
    python.show(model.get("python"));
  };
  const showState = () => {
    const job = model.get("state");
    const running = job.status === "queued" || job.status === "running";
    state.hidden = !job.status;
    state.dataset.state = job.status ?? "";
    state.textContent = job.status ? `${job.status}${running || !job.seconds ? "" : ` in ${duration(job.seconds)}`}` : "";
    start.disabled = running;
    cancel.disabled = !running;
    bar.hidden = !running;
    if (job.progress) bar.show(job.progress);
    logs.hidden = !job.log;
    log.show(job.log ?? "");
    const r = job.result ?? {};
    result.replaceChildren(
      ...(job.error ? [h("p", { class: "wb-problem wb-general", role: "alert" }, job.error)] : []),
      ...(r.bytes_after == null
        ? []
        : [
            table(
              [
                { title: "", header: true, cell: (row) => row[0] },
                { title: "Before", right: true, cell: (row) => row[1] },
                { title: "After", right: true, cell: (row) => h("strong", {}, row[2]) },
                { title: "Change", right: true, cell: (row) => row[3] },
              ],
              [
                ["Size on disk", size(r.bytes_before), size(r.bytes_after), change(r.bytes_before, r.bytes_after)],
                ...(r.perplexity_after == null ? [] : [["Perplexity on held-out text", number(r.perplexity_before), number(r.perplexity_after), change(r.perplexity_before, r.perplexity_after)]]),
              ],
            ),
            h("p", { class: "wb-hint" }, `In ${r.out}`),
          ]),
    );
  };
  const showProblems = () => {
    const problems = model.get("problems");
    for (const [key, element] of Object.entries(fields)) element.problem(problems[key]);
    for (const [key, { line }] of Object.entries(inputs)) line.problem?.(problems[`parameters.${key}`]);
    where.problem(problems.on);
    const rest = Object.entries(problems).filter(([key]) => key !== "on" && !fields[key] && !inputs[key.replace("parameters.", "")]);
    general.hidden = !rest.length;
    general.textContent = rest.map(([, text]) => text).join(" ");
  };
  drawParameters();
  const changed = () => { const { method } = draft.now(); showChoice(); if (draft.now().method !== method) drawParameters(); };
  const unlisten = listen(model, {
    "change:choice": changed,
    "change:python": showChoice,
    "change:state": showState,
    "change:where": where.show,
    "change:problems": showProblems,
    "msg:custom": showProblems,
  });
  showChoice();
  showState();
  showProblems();
  return () => {
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
