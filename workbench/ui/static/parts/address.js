// The choice in the page's address: what is shared is seen again, and the token is not in it.

const numeric = /^-?\d+(\.\d+)?(e-?\d+)?$/;
// Names that are text whatever they look like.
const names = new Set(["model", "gpu", "left", "right", "one", "two"]);

/** The part of a choice that an address holds; fields that `known` has not are somebody else's. */
export function readAddress(search, known) {
  const choice = {};
  for (const [name, text] of new URLSearchParams(search)) {
    if (!(name in known)) continue;
    if (Array.isArray(known[name])) choice[name] = text === "" ? [] : text.split(",").map((item) => (item === "-" ? null : item));
    else if (text === "") choice[name] = null;
    else if (text === "true" || text === "false") choice[name] = text === "true";
    else if (text.startsWith("{")) {
      try {
        choice[name] = JSON.parse(text);
      } catch {
        choice[name] = text;
      }
    } else choice[name] = numeric.test(text) && !names.has(name) ? Number(text) : text;
  }
  return choice;
}

const written = (value) => {
  if (Array.isArray(value)) return value.map((item) => item ?? "-").join(",");
  return value == null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
};

/**
 * The address for a choice: what differs from the defaults and what is `always` said, before what other panels of
 * the page keep there.
 */
export function addressOf(choice, defaults, { always = [], search = "" } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(choice)) {
    if (!always.includes(name) && JSON.stringify(value) === JSON.stringify(defaults[name])) continue;
    query.set(name, written(value));
  }
  for (const [name, value] of new URLSearchParams(search)) if (name !== "token" && !(name in defaults)) query.set(name, value);
  // These are safe in a query, and an address a person can read is one they will share.
  return `?${query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",")}`;
}

/**
 * The address as a place to write a choice to, once a moved control has come to rest: browsers take milliseconds for
 * each write, and some allow only so many.
 */
export function addressBook(defaults, always = []) {
  let timer = null;
  const write = (choice) => {
    const address = addressOf(choice, defaults, { always, search: location.search });
    if (address !== location.search) history.replaceState(history.state, "", address);
  };
  return {
    read: () => readAddress(location.search, defaults),
    write(choice) {
      clearTimeout(timer);
      timer = setTimeout(() => write(choice), 150);
    },
    stop: () => clearTimeout(timer),
  };
}
