// What a page can do besides: remember the theme and the zone, copy a line, and show at once what has moved elsewhere.
(function () {
  "use strict";

  const YEAR = 31536000;
  const SHOWN_FOR = 8000;
  const STILL_TO_REVIEW = new Set(["held"]);

  function remember(name, value) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=${value ? YEAR : 0}; SameSite=Lax${secure}`;
  }

  function remembered(name) {
    const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
  }

  // --- the zone of whoever reads ---

  function noteZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone || remembered("relent_zone") === zone) return;
    remember("relent_zone", zone);
    document.body.dispatchEvent(new CustomEvent("relent:zone", { bubbles: true }));
  }

  // --- light and dark ---

  function showTheme() {
    const now = document.documentElement.dataset.theme || "";
    for (const button of document.querySelectorAll("[data-theme-set]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === now));
    }
  }

  function chooseTheme(theme) {
    remember("relent_theme", theme);
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    showTheme();
  }

  function offerThemes() {
    for (const choice of document.querySelectorAll("[data-theme-choice]")) choice.hidden = false;
    showTheme();
  }

  // --- a line to copy ---

  async function copy(button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied.");
  }

  function offerCopies(root) {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  }

  // --- what is said aloud ---

  function say(words) {
    const place = document.getElementById("said");
    if (!place) return;
    const line = document.createElement("p");
    line.textContent = words;
    place.append(line);
    while (place.children.length > 3) place.firstElementChild.remove();
    setTimeout(() => line.remove(), SHOWN_FOR);
  }

  // --- what moved elsewhere ---

  // their own words are never among what we are told: only the address, and a reason of ours
  const WHY = {
    replied: "answered",
    bounced: "bounced",
    complained: "called it spam",
    unsubscribed: "unsubscribed",
    suppressed: "is suppressed now",
    meeting: "booked a meeting",
    by_hand: "was stopped by hand",
  };

  function sentence(moved) {
    const who = moved.email || "Somebody";
    if (moved.state === "cancelled" && WHY[moved.why]) return `${who} ${WHY[moved.why]}: the letter has left the queue.`;
    if (moved.state === "scheduled") return `The letter to ${who} was approved elsewhere.`;
    if (moved.state === "cancelled") return `The letter to ${who} was cancelled.`;
    return `The letter to ${who} no longer waits for a yes.`;
  }

  function news(moved) {
    return `${moved.email} ${WHY[moved.why]}: what was still to be said is cancelled.`;
  }

  function takeOff(moved) {
    const shown = document.querySelectorAll(`[data-draft="${CSS.escape(moved.draft_id)}"]`);
    if (STILL_TO_REVIEW.has(moved.state)) return;
    // the open letter says so itself, in a banner
    const told = [...shown].some((each) => each.querySelector("[data-moved-banner]"));
    if (shown.length && !told) say(sentence(moved));
    else if (!shown.length && !moved.late && moved.state === "cancelled" && WHY[moved.why] && document.querySelector("[data-news]")) say(news(moved));
    for (const each of shown) {
      if (each.hasAttribute("data-draft-stays")) {
        // in the state that the page shows: it was our own deed, told to us late
        if (each.dataset.state !== moved.state) each.dataset.moved = moved.state;
        continue;
      }
      each.classList.add("leaving");
      setTimeout(() => each.remove(), 250);
    }
  }

  function heard(event) {
    let moved;
    try {
      moved = JSON.parse(event.data);
    } catch {
      return;
    }
    if (moved.draft_id) takeOff(moved);
    document.body.dispatchEvent(new CustomEvent("relent:moved", { bubbles: true, detail: moved }));
  }

  let source = null;

  function listen() {
    const address = document.body.dataset.live;
    if (!address || !window.EventSource || source) return;
    source = new EventSource(address);
    source.addEventListener("moved", heard);
    // the visit has ended: whoever goes on asking is only told so again
    source.addEventListener("bye", hangUp);
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(listen, 15000);
      }
    });
  }

  function hangUp() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("click", (event) => {
    const theme = event.target.closest("[data-theme-set]");
    if (theme) chooseTheme(theme.dataset.themeSet);
    const copied = event.target.closest("[data-copy]");
    if (copied) copy(copied);
    const menu = document.querySelector(".menu[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });

  document.addEventListener("keydown", (event) => {
    const open = document.querySelector(".menu[open]");
    if (event.key === "Escape" && open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });

  // whoever is in the middle of something keeps their place
  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.detail.elt;
    if (part.hasAttribute("data-patient") && part !== document.activeElement && part.contains(document.activeElement)) {
      event.preventDefault();
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => offerCopies(event.target));
  // a browser has few lines to one house: a page that nobody sees gives its own back
  document.addEventListener("visibilitychange", () => (document.hidden ? hangUp() : listen()));
  addEventListener("pagehide", hangUp);
  addEventListener("pageshow", () => {
    if (!document.hidden) listen();
  });

  document.documentElement.classList.add("js");
  noteZone();
  offerThemes();
  offerCopies(document);
  window.relent = { say };
})();
