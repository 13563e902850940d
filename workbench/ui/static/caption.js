import { h, listen, mount } from "./shared.js";

// What is said of a picture, and its legend.

function panel(root, model) {
  const legend = h("p", { class: "wb-caption-legend" });
  const said = h("p", { class: "wb-caption-said", role: "status", "aria-live": "polite" });
  const problem = h("p", { class: "wb-problem", role: "alert" });
  root.classList.add("wb-caption");
  root.append(legend, said, problem);
  const draw = () => {
    legend.replaceChildren(
      ...model.get("legend").map((entry) => {
        const mark = h("span", { "aria-hidden": "true" }, entry.mark);
        mark.style.color = entry.colour;
        return h("span", {}, mark, " ", entry.text);
      }),
    );
    legend.hidden = !model.get("legend").length;
    said.textContent = model.get("said");
    problem.textContent = model.get("problem");
    problem.hidden = !model.get("problem");
  };
  draw();
  return listen(model, { "change:said": draw, "change:legend": draw, "change:problem": draw });
}

export default { render: (context) => mount(context, panel) };
