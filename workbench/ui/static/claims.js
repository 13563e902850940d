import { field, h, listen, mount, select, watchKernel } from "./shared.js";
import { drafting } from "./parts/draft.js";

// Claims: search and filters above, how many of each verdict, then the claims one by one. All claims are in the page; what is
// computed for them comes a little later.

const AT_ONCE = 40;
const EVERY = { topic: "All topics", guide: "All guides", checked: "In any way" };
const TITLES = { topic: "Topic", guide: "Guide", checked: "How it was checked" };

function panel(root, model) {
  root.classList.add("wb-claims");
  const watch = watchKernel(model, root);
  const draft = drafting(model);
  const rows = model.get("claims");
  const offered = model.get("options");
  let most = AT_ONCE;

  const words = h("input", { type: "search", class: "wb-input", spellcheck: "false", autocomplete: "off", placeholder: "swap_space, AWQ, 70B …" });
  let timer = null;
  const sent = () => {
    clearTimeout(timer);
    timer = null;
    if (words.value !== draft.now().words) draft.send({ words: words.value.slice(0, 200) });
  };
  words.addEventListener("input", () => {
    most = AT_ONCE;
    draw();
    clearTimeout(timer);
    timer = setTimeout(sent, 400);
  });
  words.addEventListener("change", sent);
  const choose = (fields) => {
    most = AT_ONCE;
    draft.send(fields);
    draw();
  };
  const menus = Object.fromEntries(
    Object.keys(TITLES).map((name) => [
      name,
      select([{ value: "", label: EVERY[name] }, ...offered[name].map((value) => ({ value, label: value }))], (value) => choose({ [name]: value })),
    ]),
  );
  const fields = { words: field("Search", words), ...Object.fromEntries(Object.entries(menus).map(([name, menu]) => [name, field(TITLES[name], menu)])) };
  const general = h("p", { class: "wb-problem wb-general", role: "alert", hidden: true });
  const tally = h("ul", { class: "wb-tally", "aria-label": "Verdicts" });
  const count = h("p", { class: "wb-stage", role: "status" });
  const list = h("ol", { class: "wb-claimlist", "aria-label": "Claims" });
  const more = h("button", { type: "button", class: "wb-button" });
  more.addEventListener("click", () => {
    const first = most;
    most += 2 * AT_ONCE;
    draw();
    const next = list.children[first];
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
  });

  const source = ({ text, url }) => (url ? h("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, text) : h("code", {}, text));
  const claim = (row) => {
    const live = row.checked === "computed here";
    return h(
      "li",
      { "data-id": row.id },
      h("span", { class: "wb-verdictmark", "data-verdict": row.verdict }, row.verdict),
      h(
        "div",
        {},
        h("h3", {}, row.claim),
        h(
          "dl",
          { class: "wb-sidebyside" },
          h("dt", {}, "The guide"),
          h("dd", {}, row.guide_value),
          live ? [h("dt", {}, "Computed"), h("dd", { class: "wb-waiting", "data-live": row.id }, "…")] : null,
        ),
        h("p", {}, row.why),
        h(
          "div",
          { class: "wb-about" },
          row.checked ? h("span", { class: "wb-basis", "data-live": live }, row.checked) : null,
          h("span", {}, `${row.guide}, ${row.topic}`),
          h("span", {}, row.id),
          row.sources.map(source),
        ),
      ),
    );
  };

  // What the filters leave, one of them apart, so that it can say how many each of its values would leave.
  const left = (apart = null) => {
    const chosen = draft.now();
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    return rows.filter(
      (row) =>
        asked.every((word) => row.search.includes(word)) &&
        ["topic", "guide", "checked", "verdict"].every((name) => name === apart || !chosen[name] || row[name] === chosen[name]),
    );
  };
  // Values that come while one reads are put in their places; the list stays as it is, and so does the focus in it.
  const fill = () => {
    const found = model.get("found");
    for (const place of list.querySelectorAll(".wb-waiting")) {
      const value = found[place.dataset.live];
      if (value == null) continue;
      place.textContent = value;
      place.classList.remove("wb-waiting");
    }
    const live = rows.filter((row) => row.checked === "computed here").length;
    const done = Object.keys(found).length;
    const computing = done < live ? `Computing: ${done} of ${live}.` : `${live} of all were computed here, just now.`;
    count.textContent = `${left().length} of ${rows.length} claims. ${computing}`;
  };
  let drawn = "";
  const draw = () => {
    const chosen = draft.now();
    const wanted = JSON.stringify([chosen, words.value, most]);
    if (wanted === drawn) return;
    drawn = wanted;
    const held = tally.contains(document.activeElement) ? document.activeElement.dataset.verdict : null;
    const any = left("verdict");
    tally.replaceChildren(
      ...["", ...offered.verdict].map((verdict) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", "data-verdict": verdict, "aria-pressed": String(chosen.verdict === verdict), onclick: () => choose({ verdict }) },
            verdict || "all",
            h("small", {}, any.filter((row) => !verdict || row.verdict === verdict).length),
          ),
        ),
      ),
    );
    if (held != null) tally.querySelector(`[data-verdict="${held}"]`).focus();
    const shown = left();
    list.replaceChildren(...shown.slice(0, most).map(claim));
    const rest = shown.length - most;
    more.hidden = rest <= 0;
    more.textContent = `Show more: ${rest} left`;
    fill();
  };
  const showChoice = () => {
    const chosen = draft.settle();
    if (document.activeElement !== words && timer === null) words.value = chosen.words;
    for (const [name, menu] of Object.entries(menus)) menu.show(chosen[name]);
    draw();
  };
  const showProblems = () => {
    const problems = model.get("problems");
    for (const [key, element] of Object.entries(fields)) element.problem(problems[key]);
    const rest = Object.entries(problems).filter(([key]) => !fields[key]);
    general.hidden = !rest.length;
    general.textContent = rest.map(([, said]) => said).join(" ");
  };

  root.append(
    h(
      "section",
      { class: "wb-card", "aria-label": "Claims of public guides" },
      h("div", { class: "wb-tools" }, Object.values(fields)),
      general,
      tally,
      count,
      list,
      h("div", { class: "wb-buttons" }, more),
    ),
  );
  const unlisten = listen(model, { "change:choice": showChoice, "change:found": fill, "change:problems": showProblems, "msg:custom": showProblems });
  showChoice();
  showProblems();
  if (!Object.keys(model.get("found")).length) draft.ask("compute");
  return () => {
    clearTimeout(timer);
    watch.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
