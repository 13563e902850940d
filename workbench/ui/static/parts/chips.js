import { combobox, h, uid } from "../shared.js";

// Several of a list: what is chosen as chips that can be removed, and a picker to add more.

const NONE = "\u0000none"; // a combobox's value is text

/** Options: {value, label, detail}; a value may be null. */
export function chips(label, adding, options, onchange) {
  let chosen = [];
  const heading = h("div", { class: "wb-label", id: uid("chips") }, h("span", {}, label));
  const list = h("ul", { class: "wb-chips", "aria-labelledby": heading.id });
  const message = h("p", { class: "wb-problem", hidden: true });
  const labelOf = (value) => options.find((option) => option.value === value)?.label ?? value ?? "";
  const picker = combobox((text) => {
    const value = text === NONE ? null : text;
    if (!chosen.includes(value)) onchange([...chosen, value]);
  }, { placeholder: adding });
  picker.setAttribute("aria-label", adding);
  const root = h("div", { class: "wb-field", role: "group", "aria-labelledby": heading.id }, heading, list, picker.wrapper, message);
  root.problem = (text) => {
    message.hidden = !text;
    message.textContent = text ?? "";
  };
  let key = "";
  root.show = (values, given = options) => {
    const next = JSON.stringify([values, given.length]);
    chosen = values ?? [];
    options = given;
    if (next === key) return;
    key = next;
    list.replaceChildren(
      ...chosen.map((value) =>
        h(
          "li",
          {},
          h("span", {}, labelOf(value)),
          chosen.length > 1
            ? h("button", { type: "button", class: "wb-remove", "aria-label": `Remove ${labelOf(value)}`, onclick: () => onchange(chosen.filter((each) => each !== value)) }, "×")
            : null,
        ),
      ),
    );
    picker.show(null, options.filter((option) => !chosen.includes(option.value)).map((option) => ({ ...option, value: option.value ?? NONE })));
  };
  return root;
}
