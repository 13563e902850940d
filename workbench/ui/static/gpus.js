import { field, h, mount, select, uid } from "./shared.js";

// All GPUs: sort by a column's head, filter by words, maker and memory, open a row for its sources.

function panel(root, model) {
  root.classList.add("wb-gpus");
  const rows = model.get("gpus");
  const columns = model.get("columns");
  const formats = {};
  for (const { key, digits } of columns) {
    const format = new Intl.NumberFormat("en-US", { minimumFractionDigits: Math.max(digits, 0), maximumFractionDigits: Math.max(digits, 0), useGrouping: digits >= 0 });
    formats[key] = (value) => (value == null ? "–" : format.format(value));
  }
  let sort = { key: null, up: true };
  const wanted = { words: [], vendor: "", memory: 0 };
  const opened = new Set();

  const words = h("input", { type: "search", class: "wb-input", placeholder: "Hopper, 80 GB, L40 …" });
  words.addEventListener("input", () => {
    wanted.words = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    draw();
  });
  const vendors = [...new Set(rows.map((row) => row.vendor))].sort();
  const vendor = select([{ value: "", label: "All makers" }, ...vendors.map((v) => ({ value: v, label: v }))], (value) => { wanted.vendor = value; draw(); });
  const memory = select(
    [0, 16, 24, 40, 48, 80, 140, 180].map((value) => ({ value, label: value ? `${value} GB and more` : "Any memory" })),
    (value) => { wanted.memory = value; draw(); },
  );

  const count = h("p", { class: "wb-stage", role: "status" });
  const head = h("tr");
  const body = h("tbody");
  const heading = (key, title, unit, right) => {
    const direction = sort.key === key ? (sort.up ? "up" : "down") : null;
    return h(
      "th",
      { scope: "col", class: right ? "wb-right" : null, "aria-sort": direction ? (sort.up ? "ascending" : "descending") : null },
      h(
        "button",
        {
          type: "button", class: "wb-sort", "data-dir": direction, "data-key": key,
          onclick: () => {
            // Numbers are asked for from the largest, names from A.
            sort = sort.key === key ? { key, up: !sort.up } : { key, up: key === "name" };
            draw();
            head.querySelector(`[data-key="${key}"]`).focus();
          },
        },
        title,
        unit ? h("small", {}, ` ${unit}`) : null,
      ),
    );
  };

  const cell = (row, { key }) => {
    const text = key === "price" && row.prices && row.prices[0] !== row.prices[1] ? `${row.prices[0].toFixed(2)} – ${row.prices[1].toFixed(2)}` : formats[key](row[key]);
    const doubtful = row.doubtful.includes(key);
    return h("td", { class: "wb-right" }, doubtful ? h("span", { class: "wb-doubt", title: `In doubt: ${row.details["In doubt"] || "sources disagree"}` }, text, h("span", { class: "wb-hidden" }, " in doubt")) : text);
  };

  const draw = () => {
    const shown = rows.filter(
      (row) =>
        wanted.words.every((word) => row.search.includes(word)) &&
        (!wanted.vendor || row.vendor === wanted.vendor) &&
        row.capacity >= wanted.memory * 0.93, // a card sold as 80 GB reports 79 GiB or less
    );
    if (sort.key) {
      const way = sort.up ? 1 : -1;
      shown.sort((a, b) => {
        const [x, y] = [a[sort.key], b[sort.key]];
        if (x == null || y == null) return (x == null) - (y == null); // cards without the figure come last
        return (typeof x === "string" ? x.localeCompare(y) : x - y) * way;
      });
    }
    head.replaceChildren(heading("name", "GPU"), ...columns.map((c) => heading(c.key, c.title, c.unit, true)), h("th", { scope: "col" }, h("span", { class: "wb-hidden" }, "Sources")));
    body.replaceChildren(
      ...shown.flatMap((row) => {
        const open = opened.has(row.name);
        const id = uid("details");
        const line = h(
          "tr",
          { "aria-current": model.get("selected") === row.name ? "true" : null },
          h(
            "th",
            { scope: "row" },
            h("button", { type: "button", class: "wb-link", title: "Plan with this card", onclick: () => { model.set("selected", row.name); model.save_changes(); draw(); } }, row.name),
            h("small", { class: "wb-muted" }, row.architecture),
          ),
          columns.map((column) => cell(row, column)),
          h(
            "td",
            { class: "wb-right" },
            h(
              "button",
              {
                type: "button", class: "wb-button wb-small", "aria-expanded": String(open), "aria-controls": open ? id : null, "aria-label": `Sources of ${row.name}`,
                onclick: () => {
                  open ? opened.delete(row.name) : opened.add(row.name);
                  draw();
                  body.querySelector(`[aria-label="Sources of ${CSS.escape(row.name)}"]`)?.focus();
                },
              },
              open ? "Close" : "Sources",
            ),
          ),
        );
        if (!open) return [line];
        const details = Object.entries(row.details).filter(([, text]) => text);
        return [
          line,
          h("tr", { id, class: "wb-details" }, h("td", { colspan: columns.length + 2 }, h("div", {}, details.flatMap(([name, text]) => [h("span", { class: "wb-muted" }, name), h("span", {}, text)])))),
        ];
      }),
    );
    const doubts = shown.filter((row) => row.doubtful.length).length;
    count.replaceChildren(`${shown.length} of ${rows.length} GPUs. `, doubts ? h("span", { class: "wb-doubt" }, "Dotted figures") : "", doubts ? " are in doubt: sources disagree." : "");
  };
  draw();

  const content = [
    h("div", { class: "wb-tools" }, field("Search", words), field("Maker", vendor), field("Memory", memory)),
    count,
    h("div", { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "All GPUs" }, h("table", { class: "wb-table" }, h("thead", {}, head), body)),
    h("p", { class: "wb-hint" }, "Click a name to plan with that card. Memory is what CUDA reports, rates are dense, links count one direction, prices are lists seen on the dates given and differ twofold."),
  ];
  root.append(
    model.get("folded")
      ? h("details", { class: "wb-card wb-fold" }, h("summary", {}, h("h2", {}, "All GPUs"), h("span", { class: "wb-muted" }, `Compare ${rows.length} cards: memory, bandwidth, rates, prices and their sources`)), ...content)
      : h("section", { class: "wb-card" }, h("h2", {}, "All GPUs"), ...content),
  );
  const redraw = () => draw();
  model.on("change:selected", redraw);
  return () => model.off("change:selected", redraw);
}

export default { render: (context) => mount(context, panel) };
