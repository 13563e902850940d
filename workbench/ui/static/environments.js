import { h, mount, number, progressBar, watchKernel } from "./shared.js";

// The isolated environments: what is there, what is being built.

const words = { built: "ready", building: "building", queued: "waiting", missing: "not built", unsuited: "not for this machine" };

function panel(root, model) {
  const watch = watchKernel(model, root);
  const list = h("div");
  root.append(h("section", { class: "wb-card" }, h("div", { class: "wb-panelhead" }, h("h2", {}, "Environments"), h("span", { class: "wb-muted" }, "Built once, kept apart from your own Python")), list));
  const ask = (action, args = {}) => model.send({ action, arguments: args });
  const lines = new Map();
  const line = (name) => {
    if (lines.has(name)) return lines.get(name);
    const state = h("span", { class: "wb-state" });
    const size = h("span", { class: "wb-muted" });
    const purpose = h("p", {});
    const note = h("p", { class: "wb-hint" });
    const error = h("p", { class: "wb-problem", role: "alert", hidden: true });
    const bar = progressBar(`Building ${name}`);
    const build = h("button", { type: "button", class: "wb-button wb-small", onclick: () => ask("build", { name }) }, "Build");
    const stop = h("button", { type: "button", class: "wb-button wb-small", onclick: () => ask("cancel") }, "Stop");
    const element = h("div", { class: "wb-environment" }, h("div", { class: "wb-panelhead" }, h("h3", {}, name), h("span", { class: "wb-buttons" }, size, state, build, stop)), purpose, note, bar, error);
    list.append(element);
    const show = (row) => {
      state.dataset.state = row.state;
      state.textContent = words[row.state];
      const bytes = row.bytes || (row.state === "built" || row.state === "unsuited" ? 0 : row.needs);
      size.textContent = bytes ? `${row.bytes ? "" : "needs "}${number(bytes / 1e9)} GB` : "";
      purpose.textContent = row.purpose;
      note.textContent = row.note;
      error.hidden = !row.error;
      error.textContent = row.error;
      build.hidden = row.state !== "missing";
      stop.hidden = row.state !== "building" && row.state !== "queued";
      bar.hidden = row.state !== "building";
      bar.show(row.progress ?? { stage: "being built by another process" });
    };
    lines.set(name, { show });
    return lines.get(name);
  };
  const draw = () => model.get("rows").forEach((row) => line(row.name).show(row));
  draw();
  model.on("change:rows", draw);
  return () => {
    watch.stop();
    model.off("change:rows", draw);
  };
}

export default { render: (context) => mount(context, panel) };
