// Asking Python: one request in flight, the newest draft after it (coalesced, never debounced).

/**
 * Send drafts of the panel's `choice`. `change(fields)` alters the draft and sends it; `answered(message)` says
 * whether a custom message ended a request, and sends what changed meanwhile.
 */
export function asking(model, watch, defaults) {
  let draft = { ...defaults, ...model.get("choice") };
  let request = model.get("request");
  let waiting = false; // an answer is due
  let dirty = false; // the draft moved on meanwhile
  const send = () => {
    if (waiting) {
      dirty = true;
      return;
    }
    waiting = true;
    dirty = false;
    request += 1;
    model.set({ choice: { ...draft }, request });
    model.save_changes();
    watch.sent();
  };
  return {
    draft: () => draft,
    change(fields) {
      draft = { ...draft, ...fields };
      send();
    },
    answered(message) {
      if (message?.answered !== request && message?.refused !== request) return false;
      waiting = false;
      watch.answered();
      if (dirty) send();
      return true;
    },
    /** Take what Python holds, unless something newer is under way. */
    settle() {
      if (!dirty && !waiting) draft = { ...draft, ...model.get("choice") };
    },
  };
}
