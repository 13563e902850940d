// What the browser tests ask a page; each returns a list of what is wrong.
({
  // Controls without a name for a screen reader.
  nameless: () =>
    [...document.querySelectorAll("input, select, textarea, button, [role=img], [role=region], [tabindex='0']")]
      .filter((e) => e.getClientRects().length)
      .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.getAttribute("aria-labelledby")))
      .map((e) => e.outerHTML.slice(0, 120)),

  // References to elements that are not there.
  dangling: () =>
    ["aria-describedby", "aria-labelledby", "aria-controls", "aria-activedescendant", "for"].flatMap((name) =>
      [...document.querySelectorAll(`.wb [${name}]`)]
        .flatMap((e) => e.getAttribute(name).split(" "))
        .filter((id) => !document.getElementById(id)),
    ),

  // Ids that two elements have.
  doubled: () => {
    const ids = [...document.querySelectorAll(".wb [id]")].map((e) => e.id);
    return ids.filter((id, i) => ids.indexOf(id) !== i);
  },

  // What sticks out of the window, which the page would cut off rather than scroll to.
  wide: () =>
    [...document.querySelectorAll(".wb *")]
      .filter((e) => !e.closest(".wb-scroll, .wb-list, .wb-hidden") && e.getClientRects().length)
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
      .map((e) => `${e.className} ${e.textContent.slice(0, 40)}`),

  // Colours: card, figure, its label, verdict, its words.
  colours: () => {
    const style = (selector) => getComputedStyle(document.querySelector(selector));
    return [
      style(".wb-card").backgroundColor,
      style(".wb-value").color,
      style(".wb-name").color,
      style(".wb-verdict").backgroundColor,
      style(".wb-verdict h2").color,
    ];
  },
});
