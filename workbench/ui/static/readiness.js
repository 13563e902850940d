import { checkbox, code, field, h, listen, mount, progressBar, segments, textBox, watchKernel } from "./shared.js";
import { drafting } from "./parts/draft.js";

// Readiness: the endpoint and its evidence on the left; verdict and the whole list on the right, evidence behind a click.

const TEXTS = {
  url: ["Endpoint, where users come in", "http://host:port"],
  model: ["Model, as clients name it", "the first that is served"],
  folder: ["Folder of the checkpoint", "none"],
  needs: ["Needs: task, lengths, examples", "a YAML or JSON file"],
  manifests: ["Manifests, rules, dashboards", "files or folders, with commas"],
  log: ["The endpoint's log", "a file on this machine"],
  metrics: ["Engine, where /metrics can be read", "the endpoint itself"],
  prometheus: ["Prometheus", "http://host:9090"],
  grafana: ["Grafana", "http://host:3000"],
  thresholds: ["Other thresholds", "a YAML or JSON file"],
};
const KEYS = { api_key: "API key of a user", other_key: "Key of a second user", grafana_key: "Grafana's token" };
const ORDER = ["fail", "warn", "pass", "not checked"];

function panel(root, model) {
  const watch = watchKernel(model, root);
  const draft = drafting(model);
  const { send, ask } = draft;

  const inputs = {};
  const fields = {};
  for (const [name, [label, placeholder]] of Object.entries(TEXTS)) {
    inputs[name] = textBox((value) => send({ [name]: value }), { placeholder });
    fields[name] = field(label, inputs[name]);
  }
  const keys = {};
  for (const [name, label] of Object.entries(KEYS)) {
    // The key goes to the kernel and is not kept here: what is in no trait is in no saved notebook.
    const input = h("input", { type: "password", class: "wb-input", spellcheck: "false", autocomplete: "new-password" });
    input.addEventListener("change", () => {
      ask("key", { name, value: input.value.trim() });
      input.value = "";
    });
    keys[name] = input;
    fields[name] = field(label, input);
  }
  const profile = segments("profile", [{ value: "chat", label: "Chat" }, { value: "batch", label: "Batch" }], (value) => send({ profile: value }));
  const profileField = field("Whose targets decide", profile);
  const strict = checkbox("What is not checked stands in the way", (value) => send({ strict: value }));

  const start = h("button", { type: "button", class: "wb-button", onclick: () => ask("start") }, "Run the checks");
  const cancel = h("button", { type: "button", class: "wb-button wb-quiet", onclick: () => ask("cancel") }, "Cancel");
  const keep = h("button", { type: "button", class: "wb-button wb-quiet", onclick: () => ask("page") }, "Report as HTML");
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const verdict = h("div", { class: "wb-verdict", "aria-live": "polite" });
  const bar = progressBar("Checks");
  const counts = h("ul", { class: "wb-counts" });
  const list = h("div");
  const python = code("The same in Python");
  const more = (title, ...children) => h("details", { class: "wb-more" }, h("summary", {}, title), children);
  root.append(
    h(
      "div",
      { class: "wb-columns wb-ready" },
      h(
        "form",
        { class: "wb-card wb-choices", "aria-label": "What is judged", onsubmit: (event) => event.preventDefault() },
        fields.url, fields.api_key, profileField, fields.model,
        more("Files to look at", fields.folder, fields.needs, fields.manifests, fields.log),
        more("Who watches it", fields.metrics, fields.prometheus, fields.grafana, fields.grafana_key),
        more("More", fields.other_key, fields.thresholds, strict),
      ),
      h(
        "section",
        { class: "wb-card", "aria-label": "Readiness" },
        general, verdict, counts, bar, h("div", { class: "wb-buttons" }, start, cancel, keep), list, python,
      ),
    ),
  );

  const items = new Map();
  for (const stage of model.get("stages")) {
    const passed = h("span");
    list.append(h("h3", { class: "wb-stagehead" }, stage.title, passed));
    for (const check of stage.checks) {
      const status = h("span", { class: "wb-status" });
      const said = h("small");
      const shown = h("div", { class: "wb-shown" });
      const details = h("details", { class: "wb-item" }, h("summary", {}, status, h("strong", {}, check.title), said), shown);
      list.append(details);
      items.set(check.name, { check, status, said, shown, details, passed, stage });
    }
  }

  const showAnswers = () => {
    const answers = new Map(model.get("answers").map((answer) => [answer.name, answer]));
    const running = model.get("verdict").state === "running";
    for (const [name, item] of items) {
      const answer = answers.get(name);
      item.status.textContent = answer ? answer.status : running ? "waits" : "open";
      item.status.dataset.status = answer ? answer.status : "";
      item.said.textContent = answer ? answer.said : item.check.item;
      const word = answer?.status === "not checked" ? "How to prove it. " : "What to do. ";
      item.shown.replaceChildren(
        h("p", { class: "wb-hint" }, item.check.item),
        h("dl", {}, (answer?.evidence ?? []).flatMap((piece) => [h("dt", { "data-status": piece.status }, piece.asked), h("dd", {}, piece.answered)])),
        ...(answer?.mend ? [h("p", { class: "wb-mend" }, h("strong", {}, word), answer.mend)] : []),
      );
      const of = item.stage.checks;
      const done = of.filter((check) => answers.get(check.name)?.status === "pass").length;
      item.passed.textContent = answers.size ? `${done} of ${of.length} pass` : `${of.length}`;
    }
  };
  const showVerdict = () => {
    const now = model.get("verdict");
    const running = now.state === "running";
    const words = { ready: "Ready", "not ready": "Not ready", running: "Looking …" };
    const marks = { ready: "✓", "not ready": "✕", running: "…" };
    verdict.dataset.state = { ready: "yes", "not ready": "no" }[now.state] ?? "none";
    verdict.replaceChildren(
      h("span", { class: "wb-icon", "aria-hidden": "true" }, marks[now.state] ?? "?"),
      h("div", {}, h("h2", {}, words[now.state] ?? "Not looked at yet"), h("p", {}, running ? "Every question has an end; the whole takes about a minute." : now.summary || "Name the endpoint and what proves the rest; whatever nobody can prove stays grey.")),
    );
    const found = ORDER.filter((status) => now.counts?.[status]);
    counts.hidden = !found.length;
    counts.replaceChildren(...found.map((status) => h("li", { class: "wb-status", "data-status": status }, `${now.counts[status]} ${status}`)));
    bar.hidden = !running;
    bar.show(now.progress ?? {});
    start.disabled = running;
    start.textContent = now.state && !running ? "Run again" : "Run the checks";
    cancel.hidden = !running;
    keep.hidden = running || !now.state;
    showAnswers();
  };
  const showChoice = () => {
    const choice = draft.settle();
    for (const [name, input] of Object.entries(inputs)) input.show(choice[name]);
    for (const [name, input] of Object.entries(keys)) input.placeholder = model.get("keys_given").includes(name) ? "•••••••• (known to the kernel)" : "none";
    profile.show(choice.profile);
    strict.show(choice.strict);
    python.show(model.get("python"));
  };
  const showProblems = () => {
    const problems = model.get("problems");
    for (const [key, element] of Object.entries(fields)) {
      element.problem(problems[key]);
      if (problems[key]) element.closest("details")?.setAttribute("open", "");
    }
    const rest = Object.entries(problems).filter(([key]) => !fields[key]);
    general.hidden = !rest.length;
    general.textContent = rest.map(([, text]) => text).join(" ");
  };
  const told = (content) => {
    if (content?.page) {
      const link = h("a", { href: URL.createObjectURL(new Blob([content.page], { type: "text/html" })), download: "readiness.html" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }
    showProblems();
  };
  const unlisten = listen(model, {
    "change:choice": showChoice,
    "change:python": showChoice,
    "change:keys_given": showChoice,
    "change:answers": showAnswers,
    "change:verdict": showVerdict,
    "change:problems": showProblems,
    "msg:custom": told,
  });
  showChoice();
  showVerdict();
  showProblems();
  return () => {
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
