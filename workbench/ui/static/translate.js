import { code, combobox, field, h, listen, mount, select, watchKernel } from "./shared.js";
import { drafting } from "./parts/draft.js";

// Translate: what is pasted on the left; for each command or file in it what becomes of every word, and the whole anew.

const SAID = {
  kept: "kept",
  renamed: "renamed",
  default: "pointless",
  removed: "removed",
  wrong: "wrong",
  unknown: "unknown",
};
const FORMS = {
  shell: "Command", docker: "docker run", kubernetes: "Container", yaml: "Configuration", python: "Python call",
  environment: "Environment", promql: "Query", grafana: "Grafana dashboard", rules: "Prometheus rules", program: "Command",
  manifest: "Manifest", dockerfile: "Dockerfile", triton: "config.pbtxt", json: "model.json", prometheus: "prometheus.yml",
};

function panel(root, model) {
  const watch = watchKernel(model, root);
  const draft = drafting(model);
  const { send } = draft;
  const offered = model.get("options");

  const text = h("textarea", { class: "wb-input wb-paste", rows: 16, spellcheck: "false", autocomplete: "off" });
  let timer = null;
  const sent = () => {
    clearTimeout(timer);
    timer = null;
    if (text.value !== draft.now().text) send({ text: text.value });
  };
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(sent, 400);
  });
  text.addEventListener("change", sent);
  const version = select(offered.versions.map((name) => ({ value: name, label: `vLLM ${name}` })), (value) => send({ version: value }));
  const gpu = combobox((value) => send({ gpu: value }), { placeholder: "Search" });
  const other = combobox((value) => send({ model: value }), { placeholder: "Search" });
  const fields = {
    text: field("An old command, YAML, Python call, environment, query or dashboard", text),
    version: field("Translate for", version),
    gpu: field("Would it fit on", gpu),
    model: field("Plan with this model instead", other, { hint: "Where the text's own is not among the bundled ones." }),
  };
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const answer = h("div", { "aria-live": "polite" });
  root.append(
    h(
      "div",
      { class: "wb-columns wb-translate" },
      h(
        "form",
        { class: "wb-card wb-choices", "aria-label": "What is translated", onsubmit: (event) => event.preventDefault() },
        fields.text, fields.version, fields.gpu, fields.model,
      ),
      h("section", { class: "wb-card", "aria-label": "Translation" }, general, answer),
    ),
  );

  // Words between backquotes are code.
  const words = (told) => told.split("`").map((piece, at) => (at % 2 ? h("code", {}, piece) : piece));
  const change = (each) =>
    h(
      "li",
      { "data-status": each.status },
      h("span", { class: "wb-fate", "data-status": each.status }, SAID[each.status] ?? each.status),
      h(
        "div",
        {},
        h("code", {}, [each.given, each.value].filter(Boolean).join(" ")),
        each.becomes && each.status !== "kept" ? [" → ", h("code", {}, each.becomes)] : null,
        each.text ? h("p", {}, words(`${each.text.charAt(0).toUpperCase()}${each.text.slice(1)}.`)) : null,
        each.source ? h("small", {}, each.source) : null,
      ),
    );
  const planned = (plan) => {
    if (!plan) return null;
    const mark = { yes: "✓", no: "✕", unknown: "?" }[plan.state];
    const title = { yes: "It would start", no: "It would not fit", unknown: "Not planned" }[plan.state];
    return h(
      "div",
      { class: "wb-verdict", "data-state": plan.state === "unknown" ? "none" : plan.state },
      h("span", { class: "wb-icon", "aria-hidden": "true" }, mark),
      h("div", {}, h("h2", {}, title), plan.about ? h("p", {}, plan.about) : null, h("p", {}, plan.text)),
    );
  };
  const part = (each) => {
    const again = code(each.version ? `For vLLM ${each.version}` : "Anew");
    again.show(each.text);
    const quiet = each.changes.filter((c) => c.status === "kept" && !c.text);
    const told = each.changes.filter((c) => !(c.status === "kept" && !c.text));
    return h(
      "div",
      { class: "wb-translated" },
      h("h3", {}, `${FORMS[each.form] ?? each.form}${each.engine === "vllm" ? "" : ` of ${each.engine}`}, line ${each.line}`),
      planned(each.plan),
      told.length ? h("ul", { class: "wb-fates" }, told.map(change)) : h("p", { class: "wb-hint" }, "Nothing in it has changed."),
      quiet.length ? h("details", { class: "wb-more" }, h("summary", {}, `${quiet.length} kept as they are`), h("ul", { class: "wb-fates" }, quiet.map(change))) : null,
      each.remarks.map((remark) => h("p", { class: "wb-hint" }, words(remark))),
      each.text ? again : null,
    );
  };
  const showAnswer = () => {
    const found = model.get("answer");
    answer.replaceChildren(...(found.parts ?? []).map(part));
    if (!found.parts?.length) answer.append(h("p", { class: "wb-hint" }, "Paste a command as it stands in a blog post, a script or a manifest."));
  };
  const showChoice = () => {
    const choice = draft.settle();
    if (document.activeElement !== text && timer === null) text.value = choice.text;
    version.show(choice.version);
    gpu.show(choice.gpu, offered.gpus);
    other.show(choice.model ?? "", offered.models);
  };
  const showProblems = () => {
    const problems = model.get("problems");
    for (const [key, element] of Object.entries(fields)) element.problem(problems[key]);
    const rest = Object.entries(problems).filter(([key]) => !fields[key]);
    general.hidden = !rest.length;
    general.textContent = rest.map(([, said]) => said).join(" ");
  };
  const unlisten = listen(model, {
    "change:choice": showChoice,
    "change:answer": showAnswer,
    "change:problems": showProblems,
    "msg:custom": showProblems,
  });
  showChoice();
  showAnswer();
  showProblems();
  return () => {
    clearTimeout(timer);
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
