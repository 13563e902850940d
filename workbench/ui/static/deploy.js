import { checkbox, code, field, h, listen, mount, numberBox, select, textBox, watchKernel } from "./shared.js";
import { drafting } from "./parts/draft.js";

// Deploy: what the plan is written for on the left; the files, what read each, and one of them in full on the right.

const TEXTS = {
  name: ["Name of the deployment", "made of the model's"],
  host: ["Name clients use", "llm.example.com"],
  namespace: ["Kubernetes namespace", "default"],
  image: ["Container image", "the engine's own"],
  model_path: ["Checkpoint, where it runs", "a folder or file on that machine"],
};
const NUMBERS = {
  port: ["Port of the engine", 1],
  replicas: ["Replicas", 1],
  most_replicas: ["Replicas at most", 1],
  requests_per_s: ["Requests a client may send in a second", 0],
};
const MARKS = { pass: "✓", fail: "✕", unchecked: "○" };

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
  for (const [name, [label, min]] of Object.entries(NUMBERS)) {
    inputs[name] = numberBox((value) => send({ [name]: value }), { min, step: name === "requests_per_s" ? "any" : 1 });
    fields[name] = field(label, inputs[name]);
  }
  inputs.storage = select(model.get("storages").map((name) => ({ value: name, label: name })), (value) => send({ storage: value }));
  fields.storage = field("Read from", inputs.storage, { hint: "How long a start may take comes of it." });

  const targets = h("div");
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const verdict = h("div", { class: "wb-verdict", "aria-live": "polite" });
  const take = h("button", { type: "button", class: "wb-button", onclick: () => ask("zip") }, "Download as zip");
  const list = h("ul", { class: "wb-files", role: "listbox", "aria-label": "Files" });
  const readers = h("ul", { class: "wb-readers" });
  const preview = code("");
  const pre = preview.querySelector("pre");
  pre.classList.add("wb-scroll");
  const python = code("The same in Python");
  const empty = h("p", { class: "wb-hint" }, "Choose a target on the left.");
  const more = (title, ...children) => h("details", { class: "wb-more" }, h("summary", {}, title), children);
  root.append(
    h(
      "div",
      { class: "wb-columns wb-deploy" },
      h(
        "form",
        { class: "wb-card wb-choices", "aria-label": "What is exported", onsubmit: (event) => event.preventDefault() },
        targets,
        more("Names and addresses", fields.name, fields.host, fields.port, fields.namespace),
        more("Replicas and limits", fields.replicas, fields.most_replicas, fields.requests_per_s),
        more("Image and checkpoint", fields.image, fields.model_path, fields.storage),
      ),
      h(
        "section",
        { class: "wb-card", "aria-label": "Files" },
        general, verdict, h("div", { class: "wb-buttons" }, take), empty, list, preview, readers, python,
      ),
    ),
  );

  const pick = (path) => send({ file: path });
  list.addEventListener("keydown", (event) => {
    const items = [...list.children];
    const at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
    const next = items[at + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? NaN)];
    if (!next) return;
    event.preventDefault();
    next.focus();
    pick(next.dataset.path);
  });

  let drawn = "";
  const boxes = new Map();
  const showTargets = () => {
    const groups = model.get("groups");
    const key = JSON.stringify(groups);
    if (key !== drawn) {
      drawn = key;
      boxes.clear();
      targets.replaceChildren(
        ...groups.map((group) => {
          const boxed = (target) => {
            const box = checkbox(target.title, (on) => {
              const rest = model.get("written").filter((id) => id !== target.id);
              send({ targets: on ? [...rest, target.id] : rest });
            });
            box.title = target.about;
            boxes.set(target.id, box);
            return box;
          };
          const refused = group.targets.filter((target) => target.refused);
          const why = refused.map((target) => h("li", {}, h("strong", {}, target.title), `: ${target.refused}`));
          return h(
            "fieldset",
            { class: "wb-group" },
            h("legend", {}, group.title),
            group.targets.filter((target) => !target.refused).map(boxed),
            why.length ? h("details", { class: "wb-not" }, h("summary", {}, `${why.length} not for this plan`), h("ul", {}, why)) : null,
          );
        }),
      );
    }
    const written = model.get("written");
    for (const [id, box] of boxes) box.show(written.includes(id));
  };
  const showFiles = () => {
    const files = model.get("files");
    const shown = model.get("shown").path;
    const focused = list.contains(document.activeElement);
    list.replaceChildren(
      ...files.map((file) =>
        h(
          "li",
          {
            role: "option", tabindex: file.path === shown ? "0" : "-1", "aria-selected": String(file.path === shown),
            "data-path": file.path, onclick: () => pick(file.path),
          },
          h("span", { class: "wb-tick", "data-outcome": file.outcome, title: file.outcome }, MARKS[file.outcome]),
          file.path,
        ),
      ),
    );
    if (focused) list.querySelector('[aria-selected="true"]')?.focus();
    const verdictNow = model.get("verdict");
    verdict.dataset.state = verdictNow.state ?? "none";
    const failed = files.filter((file) => file.outcome === "fail").length;
    const passed = files.filter((file) => file.outcome === "pass").length;
    const counts = files.length ? `${files.length} files, ${passed} pass what reads them${failed ? `, ${failed} fail` : ""}${passed + failed < files.length ? `, ${files.length - passed - failed} nobody here could read in full` : ""}.` : "";
    verdict.replaceChildren(
      h("span", { class: "wb-icon", "aria-hidden": "true" }, verdictNow.state === "yes" ? "✓" : "✕"),
      h("div", {}, h("h2", {}, verdictNow.title ?? ""), h("p", {}, verdictNow.summary ?? ""), counts ? h("p", {}, counts) : null),
    );
    take.disabled = !files.length;
    for (const part of [list, preview, readers, python]) part.hidden = !files.length;
    empty.hidden = Boolean(files.length) || verdictNow.state === "no";
  };
  const showShown = () => {
    const shown = model.get("shown");
    if (shown.path) {
      preview.show("", shown.path);
      pre.setAttribute("aria-label", shown.path);
      pre.replaceChildren(...shown.pieces.map(([look, text]) => (look ? h("span", { class: `wb-${look}` }, text) : text)));
    }
    const checks = model.get("files").find((file) => file.path === shown.path)?.checks ?? [];
    readers.replaceChildren(
      ...checks.map((check) =>
        h(
          "li",
          {},
          h("span", { class: "wb-tick", "data-outcome": check.outcome }, MARKS[check.outcome]),
          h("span", {}, h("strong", {}, check.reader), ` ${check.outcome === "unchecked" ? "not asked" : check.outcome === "pass" ? "takes it" : "refuses it"}`, check.detail ? `: ${check.detail}` : ""),
        ),
      ),
    );
    showFiles();
  };
  const showChoice = () => {
    const choice = draft.settle();
    for (const [name, input] of Object.entries(inputs)) input.show(choice[name]);
  };
  const showPython = () => python.show(model.get("python"));
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
  const told = (content, buffers) => {
    if (content?.zip) {
      const address = URL.createObjectURL(new Blob([buffers[0]], { type: "application/zip" }));
      h("a", { href: address, download: content.zip }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    }
    showProblems();
  };
  const unlisten = listen(model, {
    "change:choice": showChoice,
    "change:groups": showTargets,
    "change:written": showTargets,
    "change:files": showFiles,
    "change:verdict": showFiles,
    "change:shown": showShown,
    "change:python": showPython,
    "change:problems": showProblems,
    "msg:custom": told,
  });
  showTargets();
  showChoice();
  showShown();
  showPython();
  showProblems();
  return () => {
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
