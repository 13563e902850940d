import { checkbox, field, h, numberBox, powers, segments, select, textBox } from "../shared.js";

// The controls of a choice by the name of its field: shown, checked and marked together.

/** 512, 1024 … and the end itself. */
export function doublings(from, to) {
  const list = [];
  for (let n = from; n < to; n *= 2) list.push(n);
  return [...list, to];
}

/** A number box that shows a figure in another unit than the field holds: `scale` of the field's make one shown. */
export function scaledBox(scale, onchange, attributes) {
  const box = numberBox((value) => onchange(value == null ? null : value * scale), attributes);
  const show = box.show;
  box.show = (value) => show(value == null ? null : Number((value / scale).toPrecision(6)));
  return box;
}

/** A label over radio buttons drawn as one control, and the line of its message. */
export function segmentField(name, label, options, onchange) {
  const control = segments(name.replaceAll("_", " "), options, onchange);
  const message = h("p", { class: "wb-problem", hidden: true });
  const heading = h("div", { class: "wb-label", id: `${control.id}-label` }, h("span", {}, label));
  control.setAttribute("aria-labelledby", heading.id);
  const root = h("div", { class: "wb-field" }, heading, control, message);
  root.problem = (text) => {
    message.hidden = !text;
    message.textContent = text ?? "";
    root.classList.toggle("wb-invalid", Boolean(text));
  };
  root.show = control.show;
  return root;
}

export function form(change) {
  const fields = {};
  const set = (name) => (value) => change({ [name]: value });
  const add = (name, element, show, choices) => {
    fields[name] = { root: element, show, choices };
    return element;
  };
  const simple = (name, label, control, extra = {}) => add(name, field(label, control, extra), control.show);
  return {
    fields,
    set,
    add,
    simple,
    number: (name, label, attributes = {}) => simple(name, label, numberBox(set(name), attributes)),
    text: (name, label, attributes = {}) => simple(name, label, textBox(set(name), attributes)),
    choice: (name, label, options) => simple(name, label, select(options, set(name))),
    slider(name, label, list, extra = {}) {
      const root = powers(label, list, set(name), extra);
      return add(name, root, root.show);
    },
    check(name, label) {
      const root = checkbox(label, set(name));
      return add(name, root, root.show);
    },
    segments(name, label, options) {
      const root = segmentField(name, label, options, set(name));
      return add(name, root, root.show);
    },
    /** Messages at their controls; returns those of no control here. */
    mark(problems) {
      for (const [name, { root }] of Object.entries(fields)) root.problem?.(problems[name]);
      return Object.entries(problems).filter(([name, text]) => text && !fields[name]).map(([, text]) => text);
    },
  };
}

/**
 * The messages of a form: at their controls, in folds that open for them, the rest on one line above the answer; what it
 * stands in fades while that is not what was asked.
 */
export function problemPlace(controls, choices) {
  const root = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  root.show = (problems) => {
    const rest = controls.mark(problems);
    root.hidden = !rest.length;
    root.textContent = rest.join(" ");
    root.parentElement.classList.toggle("wb-stale", Object.keys(problems).length > 0);
    for (const fold of choices.querySelectorAll("details")) if (fold.querySelector("[aria-invalid=true]")) fold.open = true;
  };
  return root;
}

/** Two or more fields beside each other. */
export const row = (...parts) => h("div", { class: "wb-row" }, parts);
