// Shows the table of the token that the mouse or the keyboard is at; a click holds it.
(() => {
  let held = null;

  const show = (token) => {
    const trace = token.closest(".trace");
    for (const other of trace.querySelectorAll(".tok.on")) other.classList.remove("on");
    for (const same of trace.querySelectorAll(`[data-step="${token.dataset.step}"]`)) same.classList.add("on");
    for (const table of trace.querySelectorAll(".panel section")) table.hidden = table.id !== token.dataset.step;
  };

  const tokenAt = (event) => event.target.closest && event.target.closest("[data-step]");

  addEventListener("mouseover", (event) => {
    const token = tokenAt(event);
    if (token && !held) show(token);
  });
  addEventListener("click", (event) => {
    const token = tokenAt(event);
    if (!token || !getSelection().isCollapsed) return;
    held = held === token ? null : token;
    show(token);
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") held = null;
    const token = tokenAt(event);
    if (!token || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const all = [...token.closest(".text").querySelectorAll("[data-step]")];
    const at = all.indexOf(token);
    const to = { ArrowRight: all[at + 1], ArrowLeft: all[at - 1], Home: all[0], End: all[all.length - 1] }[event.key];
    if (!to) return;
    event.preventDefault();
    held = null;
    token.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
    show(to);
  });
  // The first table is shown from the start.
  for (const text of document.querySelectorAll(".trace > .text")) {
    const first = text.querySelector("[data-step]");
    if (first) show(first);
  }
})();
