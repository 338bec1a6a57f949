// Shows what the token is that the mouse or the keyboard is at. Without this, its title says the same.
(() => {
  const card = document.getElementById("card");
  let shown = null;

  const show = (token) => {
    if (shown) shown.classList.remove("on");
    shown = token;
    card.hidden = !token;
    if (!token) return;
    token.classList.add("on");
    // The browser would show the title as well.
    if (token.title) {
      token.dataset.about = token.title;
      token.removeAttribute("title");
    }
    const [name, ...rest] = token.dataset.about.split("\n");
    const bold = document.createElement("b");
    bold.textContent = name;
    card.replaceChildren(bold, rest.join("\n"));
    const box = token.getClientRects()[0] || token.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - card.offsetWidth - 8);
    const below = box.bottom + 8;
    const fits = below + card.offsetHeight < innerHeight;
    card.style.left = Math.max(8, left) + "px";
    card.style.top = Math.max(8, fits ? below : box.top - card.offsetHeight - 8) + "px";
  };

  const go = (token) => {
    if (!token) return;
    token.tabIndex = -1;
    token.focus({ preventScroll: true });
    token.scrollIntoView({ block: "nearest" });
    show(token);
  };

  const tokenAt = (event) => event.target.closest && event.target.closest(".text [data-id]");

  // A line of documents may stand between two tokens.
  const next = (token, way) => {
    do token = token[way]; while (token && !token.dataset.id);
    return token;
  };

  addEventListener("mouseover", (event) => show(tokenAt(event)));
  addEventListener("focusout", () => show(null));
  addEventListener("scroll", () => shown !== document.activeElement && show(null), { passive: true });
  addEventListener("click", (event) => {
    if (getSelection().isCollapsed) go(tokenAt(event));
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") return show(null);
    const text = event.target.closest && event.target.closest(".text");
    if (!text || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const token = tokenAt(event);
    const all = () => text.querySelectorAll("[data-id]");
    const to = {
      ArrowRight: () => (token ? next(token, "nextElementSibling") : all()[0]),
      ArrowLeft: () => token && next(token, "previousElementSibling"),
      Home: () => all()[0],
      End: () => all()[all().length - 1],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    go(to());
  });
})();
