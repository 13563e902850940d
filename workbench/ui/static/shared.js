// What every panel shares: elements, how numbers are shown, tables, pickers, messages.
// Python joins this file and a panel's own file into one module (see panel.py), so a panel imports from here
// with an ordinary `import` line, which editors and node understand and the join removes.
// No arithmetic of the planner's happens here: only what drawing needs.

export const GIB = 2 ** 30;

// Every panel has this file to itself, and several may stand on one page.
const mine = Math.random().toString(36).slice(2, 7);
let counter = 0;
export const uid = (prefix) => `wb-${prefix.replaceAll(" ", "-")}-${mine}-${++counter}`;

/** An element: h("p", {class: "wb-x", onclick: f}, "text", child). A null child is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "open") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// ---- numbers -------------------------------------------------------------------------------------------

const locale = "en-US"; // one decimal point and one thousands separator everywhere, as in vLLM's own logs
const fixed = (digits) =>
  new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const formats = [0, 1, 2, 3, 4].map(fixed);
const missing = "–";

/** Three significant digits for small numbers, whole numbers from 100 on. */
export function number(value) {
  if (value == null || !Number.isFinite(value)) return missing;
  const size = Math.abs(value);
  return formats[size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3].format(value);
}
export const whole = (value) => (value == null || !Number.isFinite(value) ? missing : formats[0].format(value));
/** Digits for a group of figures that are compared with one another: those of the largest. */
export const gib = (bytes, digits = 2) =>
  bytes == null || !Number.isFinite(bytes) ? missing : formats[digits].format(bytes / GIB);
export const percent = (share) =>
  share == null || !Number.isFinite(share) ? missing : share > 0 && share < 0.01 ? "<1%" : `${Math.round(share * 100)}%`;
/** Seconds as the unit a reader would choose. */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return missing;
  if (seconds < 1) return `${number(seconds * 1000)} ms`;
  if (seconds < 120) return `${number(seconds)} s`;
  return `${number(seconds / 60)} min`;
}
export const milliseconds = (seconds) =>
  seconds == null || !Number.isFinite(seconds) ? missing : `${number(seconds * 1000)} ms`;
export const usd = (value) =>
  value == null || !Number.isFinite(value) ? missing : `$${formats[value >= 100 ? 0 : 2].format(value)}`;
/** 131072 → "128K"; other numbers as they are. */
export function tokens(value) {
  if (value == null) return missing;
  if (value >= 1024 && value % 1024 === 0)
    return value >= 2 ** 20 && value % 2 ** 20 === 0 ? `${value / 2 ** 20}M` : `${whole(value / 1024)}K`;
  return whole(value);
}
/** 483221 → "483k": a headline, not a measurement. */
export function short(value) {
  if (value == null || !Number.isFinite(value)) return missing;
  if (value >= 1e9) return `${number(value / 1e9)}B`;
  if (value >= 1e6) return `${number(value / 1e6)}M`;
  if (value >= 1e5) return `${whole(value / 1e3)}k`;
  return whole(value);
}
/** "low – high" of an Estimate in the same format as its value; one figure when the two look the same. */
export function interval(estimate, format) {
  if (!estimate || estimate.low == null || estimate.high == null) return "";
  const [low, high] = [format(estimate.low), format(estimate.high)];
  return low === high ? "exact" : `${low} – ${high}`;
}

// ---- the panel's frame ---------------------------------------------------------------------------------

const dark = typeof matchMedia === "function" ? matchMedia("(prefers-color-scheme: dark)") : null;

/** Follow JupyterLab's theme where there is one, the browser's wish elsewhere. Returns a clean-up. */
export function followTheme(root) {
  const apply = () => {
    const light = inApp() ? null : document.body.dataset.jpThemeLight; // an app has no theme but the reader’s
    root.classList.toggle("wb-dark", light ? light === "false" : Boolean(dark?.matches));
  };
  const observer = new MutationObserver(apply);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  dark?.addEventListener("change", apply);
  apply();
  return () => {
    observer.disconnect();
    dark?.removeEventListener("change", apply);
  };
}

/** Is this page an app of its own (our Voila template says so), and not JupyterLab? */
export const inApp = () => document.documentElement.dataset.workbenchApp != null;

const kernelMessages = {
  app: "The connection to the planner is lost. Reload the page: your choice is kept in its address.",
  lab: "The notebook's kernel is not running. Restart it (Kernel menu) and run this cell again.",
};

/**
 * Watch the kernel behind a model: a banner when it is gone, and when it does not answer a request in time.
 * `sent()` says that an answer is due, `answered()` that it came.
 */
export function watchKernel(model, root, patience = 8000) {
  const banner = h("div", { class: "wb-banner", role: "alert", hidden: true });
  root.prepend(banner);
  let timer = null;
  const show = (text) => {
    banner.hidden = !text;
    banner.textContent = text ?? "";
    root.classList.toggle("wb-lost", Boolean(text));
  };
  const lost = () => show(inApp() ? kernelMessages.app : kernelMessages.lab);
  const watch = {
    sent() {
      timer ??= setTimeout(lost, patience);
    },
    answered() {
      clearTimeout(timer);
      timer = null;
      show(null);
    },
    lost,
  };
  // The widget managers of JupyterLab and Voila both know their kernel, by different names. Absent, the
  // patience above still tells.
  let kernel = null;
  try {
    const manager = model.widget_manager;
    kernel = manager?.kernel ?? manager?.context?.sessionContext?.session?.kernel ?? null;
  } catch {
    kernel = null;
  }
  const status = (_, value) => {
    if (value === "dead" || value === "terminating" || value === "autorestarting" || value === "restarting") lost();
  };
  const connection = (_, value) => {
    if (value === "disconnected" && navigator.onLine !== false) lost();
  };
  kernel?.statusChanged?.connect(status);
  kernel?.connectionStatusChanged?.connect(connection);
  kernel?.disposed?.connect(lost);
  const closed = () => lost();
  model.on("comm:close", closed);
  watch.stop = () => {
    clearTimeout(timer);
    kernel?.statusChanged?.disconnect(status);
    kernel?.connectionStatusChanged?.disconnect(connection);
    kernel?.disposed?.disconnect(lost);
    model.off("comm:close", closed);
  };
  return watch;
}

/** Call `handlers[event]` on each event of the model, until the returned function is called. */
export function listen(model, handlers) {
  const all = Object.entries(handlers);
  for (const [event, handler] of all) model.on(event, handler);
  return () => all.forEach(([event, handler]) => model.off(event, handler));
}

/** Draw `panel(root, model, context)` inside the element; a failure of ours becomes a sentence, not a blank. */
export function mount(context, panel) {
  const { model, el } = context;
  const root = h("div", { class: "wb" });
  el.append(root);
  const stopTheme = followTheme(root);
  let stopPanel = null;
  try {
    stopPanel = panel(root, model, context);
  } catch (error) {
    console.error(error);
    root.replaceChildren(
      h("div", { class: "wb-banner", role: "alert" }, "This panel could not be drawn. Reload the page; if that does not help, restart the kernel."),
    );
  }
  return () => {
    stopTheme();
    stopPanel?.();
  };
}

// ---- messages, tables, buttons -------------------------------------------------------------------------

/** A field: label, control, and a line below for its message. `problem(text)` shows or clears it. */
export function field(label, control, { aside = null, hint = null, id = control.id || uid("field") } = {}) {
  control.id ||= id;
  const message = h("p", { class: "wb-problem", id: `${control.id}-problem`, hidden: true });
  const described = [message.id];
  const note = hint ? h("p", { class: "wb-hint", id: `${control.id}-hint` }, hint) : null;
  if (note) described.push(note.id);
  control.setAttribute("aria-describedby", described.join(" "));
  const root = h(
    "div",
    { class: "wb-field" },
    h("div", { class: "wb-label" }, h("label", { for: control.id }, label), aside),
    control.wrapper ?? control,
    note,
    message,
  );
  root.problem = (text) => {
    message.hidden = !text;
    message.textContent = text ?? "";
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    root.classList.toggle("wb-invalid", Boolean(text));
  };
  return root;
}

/**
 * A table. Columns: {title, cell(row) → node or text, right, header: first column of a row}.
 */
export function table(columns, rows, { caption = null, className = "" } = {}) {
  return h(
    "table",
    { class: `wb-table ${className}` },
    caption ? h("caption", {}, caption) : null,
    h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: c.right ? "wb-right" : null }, c.title)))),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          { class: row.className },
          columns.map((c) =>
            h(c.header ? "th" : "td", { scope: c.header ? "row" : null, class: c.right ? "wb-right" : null }, c.cell(row)),
          ),
        ),
      ),
    ),
  );
}

/** A block of code with a button that copies it. */
export function code(label) {
  const text = h("pre", { class: "wb-code", tabindex: "0", "aria-label": label });
  const said = h("span", { class: "wb-copied", role: "status" });
  const button = h("button", { type: "button", class: "wb-button wb-small" }, "Copy");
  button.addEventListener("click", async () => {
    let done = false;
    try {
      await navigator.clipboard.writeText(text.textContent);
      done = true;
    } catch {
      // Without permission (plain http on another machine) the older way still works on a selection.
      const selection = getSelection();
      selection.selectAllChildren(text);
      done = document.execCommand?.("copy") ?? false;
    }
    said.textContent = done ? "Copied" : "Select the text and copy it";
    setTimeout(() => (said.textContent = ""), 2500);
  });
  const title = h("h3", {}, label);
  const root = h("div", { class: "wb-codebox" }, h("div", { class: "wb-codehead" }, title, said, button), text);
  root.show = (value, name = label) => {
    text.textContent = value;
    title.textContent = name;
  };
  return root;
}

const basisWords = {
  exact: "counted exactly",
  "measured here": "measured on this machine",
  measured: "measured on real deployments",
  calibrated: "a formula whose constants are fitted to measurements",
  roofline: "the hardware's limits, scaled by what was measured",
  datasheet: "from datasheets and price lists",
  given: "as it was given",
  engine: "what the engine says of itself",
  "smoke test": "one request at a time, as the client saw it",
};

const basisTitle = (basis) => basisWords[basis] ?? basis;

/** What a number rests on, as a small label. */
export const basisTag = (basis) =>
  basis ? h("span", { class: "wb-basis", title: basisTitle(basis) }, basis) : "";

// ---- controls ------------------------------------------------------------------------------------------

/** Radio buttons drawn as one segmented control. */
export function segments(name, options, onchange) {
  const group = uid(name);
  const root = h("div", { class: "wb-segments", role: "radiogroup", id: group });
  const draw = (list, value) => {
    root.replaceChildren(
      ...list.map((option) => {
        const id = uid(name);
        const input = h("input", {
          type: "radio", name: group, id, value: String(option.value), checked: option.value === value,
          onchange: () => onchange(option.value),
        });
        return h("span", {}, input, h("label", { for: id, title: option.title }, option.label));
      }),
    );
  };
  let key = "";
  root.show = (value, list = options) => {
    const known = list.some((o) => o.value === value)
      ? list
      : [...list, { value, label: String(value) }].sort((a, b) => a.value - b.value);
    const next = JSON.stringify(known);
    if (next !== key) {
      key = next;
      draw(known, value);
    } else {
      for (const input of root.querySelectorAll("input")) input.checked = input.value === String(value);
    }
  };
  return root;
}

/** A slider over a list of values, with a small box beside the label for any value between. */
export function powers(label, list, onchange, { unit = "" } = {}) {
  let values = list;
  const slider = h("input", { type: "range", class: "wb-slider", min: 0, max: values.length - 1, step: 1 });
  const box = h("input", { type: "number", class: "wb-inline", min: 1, step: 1, "aria-label": `${label}, exact value${unit && ` in ${unit}`}` });
  const nearest = (value) => {
    let best = 0;
    values.forEach((v, i) => {
      if (Math.abs(Math.log(v / value)) < Math.abs(Math.log(values[best] / value))) best = i;
    });
    return best;
  };
  const fill = () => {
    const last = values.length - 1;
    slider.style.setProperty("--wb-fill", `${last ? (slider.value / last) * 100 : 0}%`);
    slider.setAttribute("aria-valuetext", `${whole(values[slider.value])}${unit && ` ${unit}`}`);
  };
  slider.addEventListener("input", () => {
    const value = values[Number(slider.value)];
    box.value = value;
    fill();
    onchange(value);
  });
  box.addEventListener("input", () => {
    const value = box.value === "" ? null : Number(box.value);
    if (value > 0) {
      slider.value = nearest(value);
      fill();
    }
    onchange(value);
  });
  const root = field(label, slider, { aside: h("span", { class: "wb-exact" }, box, unit ? h("span", { "aria-hidden": "true" }, unit) : null) });
  root.show = (value, list = values) => {
    if (list !== values && String(list) !== String(values)) {
      values = list;
      slider.max = values.length - 1;
    }
    if (document.activeElement !== box) box.value = value ?? "";
    slider.value = nearest(value ?? values[0]);
    fill();
  };
  const mark = root.problem;
  root.problem = (text) => {
    mark(text);
    if (text) box.setAttribute("aria-invalid", "true");
    else box.removeAttribute("aria-invalid");
  };
  return root;
}

/**
 * A searchable picker, after the combobox pattern of the ARIA authoring practices: focus stays in the text
 * field, arrows move through the list, Enter takes, Escape restores.
 * Options: {value, label, detail, search}; `search` is more text to match (aliases).
 */
export function combobox(onchange, { placeholder = "" } = {}) {
  const list = uid("list");
  const input = h("input", {
    type: "text", class: "wb-input wb-combo", role: "combobox", "aria-expanded": "false", "aria-controls": list,
    "aria-autocomplete": "list", "aria-haspopup": "listbox", autocomplete: "off", spellcheck: "false", placeholder, id: uid("combo"),
  });
  const popup = h("ul", { class: "wb-list", role: "listbox", id: list, hidden: true });
  input.wrapper = h("div", { class: "wb-combobox" }, input, h("span", { class: "wb-chevron", "aria-hidden": "true" }), popup);
  let options = [];
  let current = null;
  let shown = [];
  let active = -1;

  const words = (text) => text.toLowerCase().split(/[\s/_-]+/).filter(Boolean);
  const open = () => !popup.hidden;
  const highlight = (index) => {
    active = index;
    [...popup.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === index)));
    const item = popup.children[index];
    if (item?.id) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const expand = (text) => {
    const wanted = words(text);
    shown = options.filter((o) => wanted.every((w) => o.haystack.includes(w)));
    popup.replaceChildren(
      ...(shown.length
        ? shown.map((option) =>
            h(
              "li",
              {
                role: "option", id: uid("option"), class: option.value === current ? "wb-current" : null,
                onpointerdown: (event) => {
                  event.preventDefault(); // keeps the focus in the field
                  take(option);
                },
              },
              h("span", {}, option.label),
              option.detail ? h("small", {}, option.detail) : null,
            ),
          )
        : [h("li", { class: "wb-none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, "Nothing matches")]),
    );
    popup.hidden = false;
    input.setAttribute("aria-expanded", "true");
    const at = text ? 0 : shown.findIndex((o) => o.value === current);
    highlight(shown.length ? Math.max(at, 0) : -1);
  };
  const restore = () => (input.title = input.value = options.find((o) => o.value === current)?.label ?? current ?? "");
  const collapse = () => {
    popup.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    restore();
  };
  const take = (option) => {
    current = option.value;
    collapse();
    onchange(option.value);
  };
  input.addEventListener("input", () => expand(input.value));
  input.addEventListener("click", () => {
    if (open()) return;
    input.select();
    expand("");
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("blur", () => open() && collapse());
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) {
      event.preventDefault();
      if (!open()) expand("");
      else if (shown.length) highlight(Math.min(Math.max(active + step, 0), shown.length - 1));
    } else if ((event.key === "Home" || event.key === "End") && open() && event.ctrlKey) {
      event.preventDefault();
      highlight(event.key === "Home" ? 0 : shown.length - 1);
    } else if (event.key === "Enter" && open()) {
      event.preventDefault();
      event.stopPropagation();
      if (shown[active]) take(shown[active]);
    } else if (event.key === "Escape" && open()) {
      event.preventDefault();
      event.stopPropagation();
      collapse();
    }
  });
  input.show = (value, next = options) => {
    if (next !== options) {
      options = next;
      for (const o of options) o.haystack = `${o.label} ${o.value} ${o.search ?? ""}`.toLowerCase();
    }
    current = value;
    if (document.activeElement !== input || !open()) restore();
  };
  return input;
}

/** A <select>. Options: {value, label}; values may be null. */
export function select(options, onchange) {
  let list = [];
  const root = h("select", { class: "wb-input", onchange: () => onchange(list[root.selectedIndex].value) });
  root.show = (value, next = list) => {
    const known = next.some((o) => o.value === value) ? next : [...next, { value, label: String(value) }];
    if (JSON.stringify(known) !== JSON.stringify(list)) {
      list = known;
      root.replaceChildren(...list.map((o) => h("option", { value: String(o.value) }, o.label)));
    }
    root.selectedIndex = list.findIndex((o) => o.value === value);
  };
  root.show(options[0]?.value, options);
  return root;
}

/** A number box; empty means null (the engine's default). */
export function numberBox(onchange, { min = null, max = null, step = null, placeholder = "" } = {}) {
  const root = h("input", { type: "number", class: "wb-input", min, max, step, placeholder, inputmode: "decimal" });
  root.addEventListener("input", () => onchange(root.value === "" ? null : Number(root.value)));
  root.show = (value) => {
    if (document.activeElement !== root) root.value = value ?? "";
  };
  return root;
}

/** A box for a text, which is taken when it is left. */
export function textBox(onchange, { placeholder = "" } = {}) {
  const root = h("input", { type: "text", class: "wb-input", spellcheck: "false", autocomplete: "off", placeholder });
  root.addEventListener("change", () => onchange(root.value.trim()));
  root.show = (value) => {
    if (document.activeElement !== root) root.value = value ?? "";
  };
  return root;
}

export function checkbox(label, onchange) {
  const input = h("input", { type: "checkbox", id: uid("check"), onchange: () => onchange(input.checked) });
  const root = h("div", { class: "wb-check" }, input, h("label", { for: input.id }, label));
  root.show = (value) => (input.checked = Boolean(value));
  root.problem = () => {};
  return root;
}

/** Progress of a job: a bar, its stage, and the seconds left where they are known. */
export function progressBar(label) {
  const bar = h("progress", { class: "wb-progress", max: 1, "aria-label": label });
  const text = h("p", { class: "wb-stage", role: "status" });
  const root = h("div", {}, bar, text);
  root.show = ({ fraction = null, stage = "", detail = "", seconds_left = null } = {}) => {
    if (fraction == null) bar.removeAttribute("value");
    else bar.value = fraction;
    const left = seconds_left == null ? "" : ` · about ${duration(seconds_left)} left`;
    text.textContent = `${stage}${detail ? `: ${detail}` : ""}${left}`;
  };
  return root;
}

/** The end of a log, which keeps to its last line while the reader does. */
export function logBox(label) {
  const root = h("pre", { class: "wb-log", tabindex: "0", "aria-label": label });
  root.show = (text) => {
    const following = root.scrollHeight - root.scrollTop - root.clientHeight < 24;
    if (root.textContent !== text) root.textContent = text;
    if (following) root.scrollTop = root.scrollHeight;
  };
  return root;
}
