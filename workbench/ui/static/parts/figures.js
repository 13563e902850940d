import { duration, h, interval, number, short, usd, whole } from "../shared.js";

// A figure in the unit that people read, by the unit of the house.

const missing = "–";
const bytes = (value) => {
  for (const [size, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) if (Math.abs(value) >= size) return `${number(value / size)} ${name}`;
  return `${whole(value)} B`;
};
const formats = {
  B: bytes,
  "B/s": (value) => `${number(value / 1e9)} GB/s`,
  FLOP: (value) => `${number(value / 1e12)} TFLOP`,
  "FLOP/s": (value) => `${number(value / 1e12)} TFLOP/s`,
  s: (value) => (value < 1e-3 ? `${number(value * 1e6)} µs` : duration(value)),
  W: (value) => `${whole(value)} W`,
  USD: usd,
  "USD/h": (value) => `${usd(value)}/h`,
  tokens: short,
  "tokens/s": (value) => `${number(value)}/s`,
};

/** How a plain figure of a unit is written. */
export const figure = (unit) => (value) => {
  if (value == null || value === "") return missing;
  if (typeof value === "string") return value;
  return (formats[unit] ?? ((v) => (Number.isInteger(v) ? whole(v) : number(v))))(value);
};

/** A figure or an Estimate of a unit; an Estimate with its interval under it. */
export function shown(value, unit) {
  const format = figure(unit);
  if (value == null || typeof value !== "object") return format(value);
  const range = interval(value, format);
  return [format(value.value), range && range !== "exact" ? h("small", { class: "wb-span" }, range) : null];
}

/** How much more or less the second is, and whether that is better. */
export function ratio(line) {
  if (line.ratio == null) return "";
  if (Math.abs(line.ratio - 1) < 0.005) return h("span", { class: "wb-muted" }, "the same");
  const more = line.ratio > 1;
  const words = line.ratio === 0 ? "none" : `${number(more ? line.ratio : 1 / line.ratio)}× ${more ? "more" : "less"}`;
  if (!line.better) return h("span", { class: "wb-muted" }, words);
  const good = (line.better === "more") === more;
  return h("span", { class: good ? "wb-better" : "wb-worse" }, words, h("span", { "aria-hidden": "true" }, good ? " ▲" : " ▼"), h("span", { class: "wb-hidden" }, good ? ", better" : ", worse"));
}

/** Two things side by side, a table for each group of lines. */
export function sideBySide(lines, a, b) {
  const groups = [...new Set(lines.map((line) => line.group))];
  const head = h("thead", {}, h("tr", {}, ["", a, b, "The second has"].map((title, at) => h("th", { scope: "col", class: at ? "wb-right" : null }, title))));
  return h(
    "table",
    { class: "wb-table wb-sides" },
    head,
    groups.map((group) =>
      h(
        "tbody",
        {},
        h("tr", { class: "wb-group" }, h("th", { colspan: 4, scope: "rowgroup" }, group)),
        lines
          .filter((line) => line.group === group)
          .map((line) =>
            h(
              "tr",
              { class: line.differs ? "wb-differs" : null },
              h("th", { scope: "row" }, line.name),
              h("td", { class: "wb-right" }, shown(line.a, line.unit)),
              h("td", { class: "wb-right" }, shown(line.b, line.unit)),
              h("td", { class: "wb-right" }, ratio(line)),
            ),
          ),
      ),
    ),
  );
}

/** The same as rows of a table to take along. */
export function sideRows(lines, a, b) {
  const ends = (value) => (value && typeof value === "object" ? [value.value, value.low, value.high] : [value, null, null]);
  return [["group", "figure", "unit", a, `${a}, low`, `${a}, high`, b, `${b}, low`, `${b}, high`, "second / first"], ...lines.map((line) => [line.group, line.name, line.unit, ...ends(line.a), ...ends(line.b), line.ratio])];
}
