import { field, gib, h, number, table, textBox } from "../shared.js";
import { segmentField } from "./form.js";

// Where work is done: on this machine, or on a Ray cluster by its address, with what its nodes have and what is free.

const [HERE, CLUSTER] = ["here", "cluster"];
const PLACES = [{ value: HERE, label: "This machine" }, { value: CLUSTER, label: "A Ray cluster" }];

/** "2 of 8", or the whole where Ray does not say what is free. */
const room = ([free, all]) => (!all ? "–" : free == null ? number(all) : `${free} of ${all}`);

/**
 * The picker of a panel whose Python has `where`. `show()` draws what Python holds, `problem(text)` marks the address.
 */
export function wherePicker(model, ask) {
  let named = Boolean(model.get("where").address);
  let refused = null;
  const box = textBox((address) => ask("place", { address }), { placeholder: "ray://HOST:10001" });
  const address = field("Address of the cluster", box);
  const kind = segmentField("where", "Where", PLACES, (value) => {
    named = value === CLUSTER;
    refused = null;
    if (!named) {
      box.value = "";
      ask("place", { address: "" });
    }
    draw();
    if (named) box.focus();
  });
  const again = h("button", { type: "button", class: "wb-button wb-small", onclick: () => ask("look") }, "Look again");
  const told = h("p", { class: "wb-hint", role: "status" });
  const nodes = h("div", { class: "wb-nodes", tabindex: "0", role: "region", "aria-label": "Nodes of the cluster" });
  const cluster = h("div", {}, address, h("div", { class: "wb-nodeshead" }, told, again), nodes);
  const root = h("div", { class: "wb-where" }, kind, cluster);

  const words = (where) => {
    if (!where.address) return "Until it has an address, this machine does the work.";
    if (refused) return `Until that is put right, ${where.address} does the work.`;
    if (where.status === "asking") return `${where.said || "Asking what it has"} …`;
    if (where.status !== "known") return "";
    const count = where.nodes.length;
    return count ? `${count === 1 ? "One node" : `${count} nodes`}. What none has free now is waited for.` : "None of its nodes lives.";
  };
  const draw = () => {
    const where = model.get("where");
    kind.show(named ? CLUSTER : HERE);
    cluster.hidden = !named;
    told.textContent = words(where);
    told.hidden = !told.textContent;
    again.hidden = !where.address || where.status === "asking";
    again.textContent = where.status === "failed" ? "Try again" : "Look again";
    address.problem(refused ?? (where.status === "failed" ? where.said : null));
    nodes.hidden = !where.nodes.length;
    nodes.replaceChildren(
      table(
        [
          { title: "Node", header: true, cell: (node) => [node.address, h("small", { class: "wb-span" }, [node.host, node.memory[1] && `${gib(node.memory[0] ?? node.memory[1], 1)} GiB of memory${node.memory[0] == null ? "" : " free"}`].filter(Boolean).join(", "))] },
          { title: "GPUs free", right: true, cell: (node) => [room(node.gpus), node.card ? h("small", { class: "wb-span" }, node.card) : null] },
          { title: "CPUs free", right: true, cell: (node) => room(node.cpus) },
        ],
        where.nodes,
      ),
    );
  };
  root.show = () => {
    const where = model.get("where");
    if (where.address) {
      named = true;
      refused = null;
      box.show(where.address);
    }
    draw();
  };
  root.problem = (text) => {
    refused = text ?? null;
    draw();
  };
  root.show();
  return root;
}
