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
  // plotly measures its place before it has one, and then only when the window changes: JupyterLab gives a figure its
  // place late, later still on a slow machine, and changes it without the window.
  let width = 0;
  const place = new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    for (const wait of [0, 400, 2000, 8000, 20000]) setTimeout(() => dispatchEvent(new Event("resize")), wait);
  });
  place.observe(root);
  const stop = listen(model, { "change:said": draw, "change:legend": draw, "change:problem": draw });
  return () => {
    place.disconnect();
    stop();
  };
}

export default { render: (context) => mount(context, panel) };
