import { h, listen, mount } from "./shared.js";

// Every engine with its reasons: those that can, the best first; those that cannot, with what rules them out.

const source = (reason) =>
  reason.address
    ? h("a", { href: reason.address, target: "_blank", rel: "noopener", title: reason.source }, "source")
    : h("span", { class: "wb-engines-source", title: reason.source }, "source");

function reasons(list, kind, mark) {
  if (!list.length) return null;
  return h(
    "ul",
    { class: `wb-engines-${kind}` },
    list.map((reason) =>
      h(
        "li",
        {},
        h("span", { class: "wb-engines-mark", "aria-label": kind === "for" ? "for it" : "against it" }, mark(reason)),
        h("span", {}, reason.text, " ", source(reason)),
      ),
    ),
  );
}

function able(row, place) {
  return h(
    "article",
    { class: place === 0 ? "wb-engines-one wb-engines-first" : "wb-engines-one" },
    h("h4", {}, row.title, h("span", { class: "wb-engines-licence" }, `${row.licence}, ${row.state}`)),
    h("p", { class: "wb-engines-made" }, row.made_for, "."),
    reasons(row.why, "for", (reason) => `+${reason.weight}`),
    reasons(row.against, "against", (reason) => `−${-reason.weight}`),
  );
}

function unable(row) {
  return h("li", {}, h("b", {}, row.title), ": ", row.out.map((reason) => reason.text).join("; "), ".");
}

function panel(root, model) {
  const said = h("p", { class: "wb-engines-said", role: "status", "aria-live": "polite" });
  const problem = h("p", { class: "wb-problem", role: "alert" });
  const can = h("div", { class: "wb-engines-can" });
  const cannot = h("ul");
  const out = h("section", { class: "wb-engines-out" }, h("h4", {}, "Ruled out"), cannot);
  root.classList.add("wb-engines");
  root.append(said, problem, can, out);
  const draw = () => {
    const rows = model.get("rows");
    const fit = rows.filter((row) => row.suits);
    said.textContent = model.get("said");
    can.replaceChildren(...fit.map(able));
    cannot.replaceChildren(...rows.filter((row) => !row.suits).map(unable));
    out.hidden = fit.length === rows.length;
    problem.textContent = model.get("problem");
    problem.hidden = !model.get("problem");
  };
  draw();
  return listen(model, { "change:rows": draw, "change:problem": draw, "change:said": draw });
}

export default { render: (context) => mount(context, panel) };
