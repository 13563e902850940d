// What is chosen on a page, sent to Python as it is changed; no answer is awaited, since long work follows, or a check.

/**
 * The draft of a trait. `send(fields)` alters and sends it, `settle()` takes what Python holds, `ask(action, args)` presses
 * a button of Python's.
 */
export function drafting(model, name = "choice") {
  let draft = model.get(name);
  let request = model.get("request");
  return {
    now: () => draft,
    send(fields) {
      draft = { ...draft, ...fields };
      request += 1;
      model.set({ [name]: draft, request });
      model.save_changes();
    },
    settle() {
      draft = model.get(name);
      return draft;
    },
    ask: (action, args = {}) => model.send({ action, arguments: args }),
  };
}
