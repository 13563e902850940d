// Asking Python and showing what it says: one request in flight, the newest draft after it (coalesced, never debounced).

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

/** What follows a reply: every one of `shows` after an answer, the problems alone after a refusal. */
export function replies(ask, shows, showProblems) {
  const onAnswer = () => {
    ask.settle();
    for (const show of shows) show();
  };
  const onReply = (message) => {
    ask.answered(message);
    if (message?.refused != null) showProblems();
    if (message?.answered != null) onAnswer();
  };
  return { onAnswer, onReply };
}
