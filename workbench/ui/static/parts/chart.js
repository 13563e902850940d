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
  let embedding = false; // the figure is being drawn first: what Python sends it meanwhile is lost
  let turned = false; // how wide the page is was told when nobody may have heard it

  const ask = (turn = false) => {
    if (due) {
      again = true;
      turned ||= turn;
      return;
    }
    due = true;
    again = false;
    number += 1;
    const asked = { number, turn };
    // The frame that comes paints the figures; Python's answer cannot be here before it.
    requestAnimationFrame(() => model.send({ action: "draw", arguments: asked }));
  };
  const askAnew = () => {
    const turn = turned && drawn !== "" && !embedding;
    if (turn) turned = false;
    ask(turn);
  };
  const place = () => {
    const reference = model.get("chart");
    if (!reference || reference === drawn) return;
    drawn = reference;
    embedding = true;
    const at = number;
    embed(context, reference, plot).then(async (well) => {
      waiting.hidden = well;
      root.classList.toggle("wb-drawn", well);
      // plotly's first drawing goes on after its widget is there, and a change that comes meanwhile is lost too.
      for (let looks = 0; well && looks < 600 && !plot.querySelector(".main-svg .xtick"); looks += 1) await new Promise(requestAnimationFrame);
      embedding = false;
      if (turned || number > at) askAnew();
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
    if (again) askAnew();
  };
  model.on("change:chart", place);
  model.on("msg:custom", replied);

  const measure = () => {
    if (!root.clientWidth) return;
    const narrow = root.clientWidth < NARROW;
    if (narrow === model.get("narrow")) return;
    model.set("narrow", narrow);
    model.save_changes();
    turned ||= due || embedding;
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
