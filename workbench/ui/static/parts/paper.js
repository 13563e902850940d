import { h } from "../shared.js";

// What stands on paper only: what was chosen, since controls are not printed, and where to find it again.

/** Lines of [name, text], and the page's address; a line without text is left out. */
function paperLines(lines) {
  const told = [...lines, ["Address", location.href]].filter(([, text]) => text);
  return h("dl", { class: "wb-printed" }, told.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
}

/** Write what `lines()` gives into `place` when the page is printed; returns what ends that. */
export function onPaper(place, lines) {
  const write = () => place.replaceChildren(paperLines(lines()));
  addEventListener("beforeprint", write);
  return () => removeEventListener("beforeprint", write);
}
