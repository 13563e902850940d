import { h, inApp, listen, mount, uid } from "./shared.js";
import { addressBook } from "./parts/address.js";
import { embed } from "./parts/embed.js";

// Tabs after the ARIA authoring practices: arrows move and open, Tab goes on into what is open.

const lower = (title) => title.toLowerCase();

function panel(root, model, context) {
  root.classList.add("wb-tabs");
  const pages = model.get("pages");
  const useUrl = model.get("url") && inApp();
  const address = addressBook({ tab: lower(pages[0].title) });
  const drawn = new Set();

  const tabs = pages.map(({ title }) => {
    const id = uid("tab");
    return {
      title,
      tab: h("button", { type: "button", role: "tab", id, class: "wb-tab", "aria-controls": `${id}-page`, onclick: () => choose(title) }, title),
      page: h("div", { role: "tabpanel", id: `${id}-page`, "aria-labelledby": id, class: "wb-tabpage" }),
    };
  });
  const list = h("div", { class: "wb-tablist", role: "tablist", "aria-label": "What to do" }, tabs.map(({ tab }) => tab));
  list.addEventListener("keydown", (event) => {
    const at = tabs.findIndex(({ tab }) => tab === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at < 0 || to == null) return;
    event.preventDefault();
    event.stopPropagation();
    const next = tabs[(to + tabs.length) % tabs.length];
    next.tab.focus();
    choose(next.title);
  });
  root.append(list, ...tabs.map(({ page }) => page));

  function choose(title) {
    if (title === model.get("selected")) return;
    model.set("selected", title);
    model.save_changes();
    show();
  }

  const show = () => {
    const selected = model.get("selected");
    for (const { title, tab, page } of tabs) {
      const open = title === selected;
      tab.setAttribute("aria-selected", String(open));
      tab.tabIndex = open ? 0 : -1;
      page.hidden = !open;
      if (open && !drawn.has(title)) {
        drawn.add(title);
        for (const reference of pages.find((each) => each.title === title).widgets) {
          const place = h("div");
          page.append(place);
          embed(context, reference, place);
        }
      }
    }
    // What was hidden has not been measured.
    window.dispatchEvent(new Event("resize"));
    if (useUrl) address.write({ tab: lower(selected) });
  };

  const unlisten = listen(model, { "change:selected": show });
  const { tab: wanted } = useUrl ? address.read() : {};
  const known = pages.find(({ title }) => lower(title) === wanted);
  if (known && known.title !== model.get("selected")) choose(known.title);
  else show();
  return () => {
    address.stop();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
