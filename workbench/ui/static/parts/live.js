import { h, uid } from "../shared.js";

// A small chart that grows by a point a second and forgets what is older than its span. Its elements are made once:
// a page that stands open for days must hold no more than on its first minute.

const WIDTH = 300;
const HEIGHT = 64;
const NS = "http://www.w3.org/2000/svg";
const svg = (tag, attributes) => {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

/** A round number not below a value: 1, 2 or 5 times a power of ten. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9));
}

/** The path of a line: broken where a value is missing or the points lie further apart than `gap`. */
export function path(times, values, { now, span, top, gap }) {
  let text = "";
  let last = null;
  for (let i = 0; i < times.length; i += 1) {
    const value = values[i];
    if (value == null || now - times[i] > span) {
      last = null;
      continue;
    }
    const x = WIDTH * (1 - (now - times[i]) / span);
    const y = HEIGHT * (1 - Math.min(value / top, 1));
    text += `${last == null || times[i] - last > gap ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    last = times[i];
  }
  return text;
}

/**
 * A live chart. Lines: {name, colour}; `format` writes a value; `top` is the end of the scale where it is fixed.
 * `add(time, values)` takes a point, `break()` ends the lines, `draw(now)` paints.
 */
export function liveChart(title, lines, format, { top = null, span = 300, gap = 3 } = {}) {
  let times = [];
  let series = lines.map(() => []);
  const label = uid("live");
  const paths = lines.map((line, at) => svg("path", { class: `wb-liveline${at ? " wb-dashed" : ""}`, style: `stroke: var(--wb-${line.colour})` }));
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "wb-live", "aria-hidden": "true" });
  picture.append(...[0, 0.5, 1].map((share) => svg("line", { class: "wb-grid", x1: 0, x2: WIDTH, y1: HEIGHT * share, y2: HEIGHT * share })), ...paths);
  const values = lines.map(() => h("b", {}, "–"));
  const legend = h(
    "ul",
    { class: "wb-livekeys" },
    lines.map((line, at) => h("li", {}, h("span", { class: `wb-stroke${at ? " wb-dashed" : ""}`, style: `border-color: var(--wb-${line.colour})`, "aria-hidden": "true" }), line.name ? `${line.name} ` : "", values[at])),
  );
  const end = h("span", { class: "wb-liveend" });
  const since = h("span", { class: "wb-liveend wb-livestart" });
  const root = h("figure", { class: "wb-livechart", role: "group", "aria-labelledby": label }, h("figcaption", {}, h("h3", { id: label }, title), legend), h("div", { class: "wb-liveplot" }, picture, end, since));

  root.add = (time, given) => {
    times.push(time);
    given.forEach((value, at) => series[at].push(value));
    let old = 0;
    while (times.length - old > 2 && time - times[old] > span) old += 1;
    if (old) {
      times = times.slice(old);
      series = series.map((one) => one.slice(old));
    }
    given.forEach((value, at) => {
      const text = value == null ? "–" : format(value);
      if (values[at].textContent !== text) values[at].textContent = text;
    });
  };
  root.points = () => times.length;
  root.draw = (now) => {
    const known = series.flat().filter((value) => value != null);
    const scale = top ?? roundUp(Math.max(0, ...known));
    const text = known.length ? format(scale) : "";
    if (end.textContent !== text) end.textContent = text;
    // Until the span is full, the points take all the width, from half a minute on.
    const shown = Math.min(Math.max(times.length ? now - times[0] : 0, 30), span);
    const ago = shown >= 120 ? `${Math.round(shown / 60)} min ago` : `${Math.round(shown)} s ago`;
    if (since.textContent !== ago) since.textContent = ago;
    paths.forEach((one, at) => one.setAttribute("d", path(times, series[at], { now, span: shown, top: scale, gap })));
  };
  return root;
}
