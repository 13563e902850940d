import { h } from "../shared.js";
import { embed } from "./embed.js";

// A plotly figure inside a panel. Python draws it when asked, and is asked once the figures are painted.

const NARROW = 620;

/** The place of a panel's chart: `ask()` brings it up to date, `legend(entries)` says what is what, `show(visible)` hides it. */
export function chartPlace(context, label) {
  const { model } = context;
  const waiting = h("p", { class: "wb-muted wb-waiting" }, "Drawing …");
  const plot = h("div", { class: "wb-plot" });
  const keys = h("ul", { class: "wb-keys" });
  const root = h("figure", { class: "wb-chart", "aria-label": label }, h("div", { class: "wb-plotted" }, waiting, plot), h("figcaption", {}, keys));
  let number = 0;
  let due = false; // Python is drawing
  let again = false; // something changed meanwhile
  let drawn = "";

  const ask = () => {
    if (due) {
      again = true;
      return;
    }
    due = true;
    again = false;
    number += 1;
    // The frame that comes paints the figures; Python's answer cannot be here before it.
    requestAnimationFrame(() => model.send({ action: "draw", arguments: { number } }));
  };
  const place = () => {
    const reference = model.get("chart");
    if (!reference || reference === drawn) return;
    drawn = reference;
    embed(context, reference, plot).then((well) => {
      waiting.hidden = well;
      root.classList.toggle("wb-drawn", well);
    });
  };
  const replied = (message) => {
    if (message?.drawn == null) return;
    due = false;
    if (message.later) {
      setTimeout(ask, 250); // what draws is still being loaded
      return;
    }
    if (!message.well) {
      waiting.hidden = false;
      waiting.textContent = "The chart could not be drawn; the figures stand.";
    } else if (drawn) waiting.hidden = true;
    root.dataset.drawn = message.drawn; // for who waits until the chart shows what the figures do
    if (again) ask();
  };
  model.on("change:chart", place);
  model.on("msg:custom", replied);

  const measure = () => {
    if (!root.clientWidth) return;
    const narrow = root.clientWidth < NARROW;
    if (narrow === model.get("narrow")) return;
    model.set("narrow", narrow);
    model.save_changes();
  };
  const observer = new ResizeObserver(measure);
  observer.observe(root);
  place();

  root.ask = ask;
  root.legend = (entries) =>
    keys.replaceChildren(...entries.map((entry) => h("li", {}, h("span", { style: `color:${entry.colour}`, "aria-hidden": "true" }, entry.mark), entry.text)));
  root.show = (visible) => {
    if (root.hidden === !visible) return;
    root.hidden = !visible;
    // plotly measures its place only when it is told that something changed.
    if (visible) window.dispatchEvent(new Event("resize"));
  };
  root.stop = () => {
    observer.disconnect();
    model.off("change:chart", place);
    model.off("msg:custom", replied);
  };
  return root;
}
