import { basisTag, duration, gib, h, mount, number, table, whole } from "./shared.js";

// Planned beside reported, one row a quantity.

const formats = {
  B: (value) => (value >= 2 ** 27 ? `${gib(value)} GiB` : `${number(value / 2 ** 20)} MiB`),
  tokens: whole,
  requests: number,
  s: duration,
  "tokens/s": number,
};

function panel(root, model) {
  const card = h("section", { class: "wb-card" });
  root.append(card);
  const draw = () => {
    const rows = model.get("rows");
    const inside = rows.filter((row) => row.inside).length;
    card.replaceChildren(
      h("div", { class: "wb-panelhead" }, h("h2", {}, "Planned and reported"), h("span", { class: "wb-muted", role: "status" }, `${inside} of ${rows.length} inside their interval`)),
      h(
        "div",
        { class: "wb-scroll", tabindex: "0", role: "region", "aria-label": "Planned and reported" },
        table(
          [
            { title: "Quantity", header: true, cell: (row) => row.name },
            { title: "Planned", right: true, cell: (row) => formats[row.unit](row.planned) },
            { title: "90 % interval", right: true, cell: (row) => h("span", { class: "wb-muted" }, row.low === row.high ? "exact" : `${formats[row.unit](row.low)} – ${formats[row.unit](row.high)}`) },
            { title: "Reported", right: true, cell: (row) => h("strong", {}, formats[row.unit](row.reported)) },
            { title: "Error", right: true, cell: (row) => (row.error == null ? "–" : `${row.error > 0 ? "+" : ""}${number(row.error * 100)} %`) },
            { title: "", right: true, cell: (row) => h("span", { class: "wb-state", "data-state": row.inside ? "succeeded" : "failed" }, row.inside ? "inside" : "outside") },
            { title: "Seen by", right: true, cell: (row) => basisTag(row.source) },
          ],
          rows,
        ),
      ),
      ...(model.get("drift") ? [h("p", { class: "wb-problem", role: "alert" }, model.get("drift"))] : []),
    );
  };
  draw();
  model.on("change:rows", draw);
  return () => model.off("change:rows", draw);
}

export default { render: (context) => mount(context, panel) };
