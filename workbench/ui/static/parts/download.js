import { h } from "../shared.js";

// Tables to take along: made in the browser from the figures that are shown.

const quoted = (value) => {
  if (value == null || (typeof value === "number" && !Number.isFinite(value))) return "";
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Rows of plain values as CSV, the first being the header. */
export const csv = (rows) => rows.map((row) => `${row.map(quoted).join(",")}\n`).join("");

/** "Llama-3.1-8B-Instruct on L40S" → "Llama-3.1-8B-Instruct-on-L40S": what every file system takes. */
export const fileName = (text) => text.normalize("NFKD").replace(/[^\w.+-]+/g, "-").replace(/^[-.]+|-+$/g, "").slice(0, 100) || "plan";

/** A button that hands over `rows()` as a file called after `name()`. */
export function csvButton(label, name, rows) {
  return h(
    "button",
    {
      type: "button",
      class: "wb-button wb-small",
      onclick: () => {
        const address = URL.createObjectURL(new Blob([csv(rows())], { type: "text/csv;charset=utf-8" }));
        const link = h("a", { href: address, download: `${fileName(name())}.csv` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(address), 10_000);
      },
    },
    label,
  );
}

/** A button that prints the page. */
export const printButton = () => h("button", { type: "button", class: "wb-button wb-small", onclick: () => window.print() }, "Print");
