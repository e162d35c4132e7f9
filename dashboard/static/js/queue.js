// The review queue by keyboard, without loading the page anew, and with what happens elsewhere before one's eyes.
// Without it every link and every form does the same.
(function () {
  "use strict";

  const WHY = {
    replied: "answered",
    bounced: "could not be reached: the mail came back",
    complained: "called it spam",
    unsubscribed: "unsubscribed",
    suppressed: "came to stand on the list of those never to be written to",
    meeting: "booked a meeting",
    by_hand: "was stopped by somebody here",
  };
  // a key that is still down, or was meant for the letter before, is no word about this one
  const SETTLED = 400;
  let shownSince = 0;

  // as show.py has them
  const LOOKS = {
    scheduled: ["wait", "◷", "scheduled"],
    cancelled: ["quiet", "○", "cancelled"],
    claimed: ["busy", "◐", "leaving"],
    releasing: ["busy", "◐", "leaving"],
    sent: ["good", "✓", "sent"],
    uncertain: ["doubt", "▲", "perhaps left"],
    failed: ["bad", "✕", "failed"],
  };

  const sheet = () => document.getElementById("letter");
  const typing = (place) => place.closest("input, textarea, select, [contenteditable]") !== null;

  // --- keys ---

  function press(key) {
    const found = sheet() && sheet().querySelector(`[data-key="${key}"]`);
    if (!found || found.closest("[inert]")) return false;
    found.click();
    return true;
  }

  function open(key) {
    const verb = sheet() && sheet().querySelector(`[data-opens="${key}"]`);
    if (!verb || verb.closest("[inert]")) return false;
    verb.open = true;
    const first = verb.querySelector("[data-focus]");
    if (first) first.focus();
    return true;
  }

  function help() {
    const dialog = document.getElementById("keys");
    if (dialog && !dialog.open) dialog.showModal();
    return Boolean(dialog);
  }

  function close() {
    const verb = document.querySelector(".verb[open]");
    if (!verb) return false;
    verb.open = false;
    verb.querySelector("summary").focus();
    return true;
  }

  function approve() {
    // beside a form that is open it would be a yes to other words than those in it
    if (Date.now() - shownSince < SETTLED || document.querySelector(".verb[open]")) return true;
    return press("a");
  }

  const KEYS = {
    j: () => press("j"),
    k: () => press("k"),
    a: approve,
    e: () => open("e"),
    r: () => open("r"),
    d: () => open("d"),
    s: () => open("s"),
    "?": help,
  };

  document.addEventListener("keydown", (event) => {
    if (!sheet() && !document.querySelector("[data-review]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && close()) return;
    if (typing(event.target)) return;
    const deed = KEYS[event.key];
    if (deed && deed()) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) help();
  });

  // before anything else hears of it: what is open is closed, and no page is loaded for that
  document.addEventListener(
    "click",
    (event) => {
      if (!event.target.closest("[data-cancel]") || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      close();
    },
    true,
  );

  // one yes is enough, however often somebody presses
  document.addEventListener("submit", (event) => {
    const form = event.target.closest(".verbs form");
    if (!form) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 8000);
  });

  // --- somebody else was quicker, or its reader has answered ---

  function sentence(moved) {
    const who = sheet().dataset.who || moved.email || "Somebody";
    if (moved.state === "cancelled" && WHY[moved.why]) return `${who} ${WHY[moved.why]} a moment ago: this letter was cancelled.`;
    if (moved.state === "cancelled") return "This letter was cancelled a moment ago.";
    if (moved.state === "scheduled") return "Somebody approved this letter a moment ago.";
    if (moved.state === "sent") return "This letter has left a moment ago.";
    return "This letter does not wait for a yes any more.";
  }

  function took(moved) {
    const read = sheet();
    if (!read || read.dataset.draft !== moved.draft_id || moved.state === "held") return;
    if (read.dataset.state === moved.state) return; // the page knows: it was our own deed, told to us late
    read.dataset.moved = moved.state;
    const verbs = read.querySelector("[data-verbs]");
    const words = sentence(moved);
    if (verbs) {
      const typed = verbs.contains(document.activeElement);
      verbs.inert = true;
      if (typed) document.getElementById("letter-heading").focus();
    }
    const banner = read.querySelector("[data-moved-banner]");
    banner.querySelector("[data-moved-text]").textContent = words;
    const answer = banner.querySelector("[data-moved-answer]");
    if (answer) answer.hidden = moved.why !== "replied";
    banner.hidden = false;
    standsNow(moved.state);
  }

  function standsNow(state) {
    const badge = sheet().querySelector("[data-standing] .badge");
    if (!badge || !LOOKS[state]) return;
    const [look, shape, word] = LOOKS[state];
    badge.className = `badge ${look}`;
    badge.firstElementChild.textContent = shape;
    badge.lastChild.textContent = ` ${word}`;
  }

  // the number above the list, and in the title, while the list gets shorter
  function countDown(moved) {
    const place = document.querySelector("[data-count]");
    const row = document.querySelector(`[data-queue] > [data-draft="${CSS.escape(moved.draft_id || "")}"]`);
    if (!place || !row || moved.state === "held" || row.dataset.counted) return;
    row.dataset.counted = "yes";
    const left = Math.max(Number(place.dataset.count) - 1, 0);
    place.dataset.count = left;
    place.textContent = left === 1 ? "1 letter waits for a yes" : `${left.toLocaleString("en")} letters wait for a yes`;
    document.title = document.title.replace(/ \([\d,]+\)/, left ? ` (${left.toLocaleString("en")})` : "");
  }

  // the way on leads past a letter that has just left the queue
  function passOver(moved) {
    if (moved.state === "held" || !sheet()) return;
    const gone = document.querySelector(`[data-queue] > [data-draft="${CSS.escape(moved.draft_id)}"]`);
    for (const [key, way] of [["j", "nextElementSibling"], ["k", "previousElementSibling"]]) {
      const link = sheet().querySelector(`a[data-key="${key}"]`);
      if (!link || new URL(link.href).searchParams.get("draft") !== moved.draft_id) continue;
      const other = gone && gone[way] && gone[way].querySelector("a");
      if (!other) continue;
      const onward = link.cloneNode(true); // htmx keeps the address that a link had when it first saw it
      onward.href = other.href;
      link.replaceWith(onward);
      if (window.htmx) window.htmx.process(onward);
    }
  }

  document.addEventListener("relent:moved", (event) => {
    took(event.detail);
    passOver(event.detail);
    countDown(event.detail);
  });

  // --- the next letter without loading the page anew: hx-boost, in queue.html ---

  // a refusal has a page of its own, with the letter as it is now
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400 && event.detail.xhr.responseText) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });

  document.addEventListener("htmx:afterSettle", () => arrive(true));

  function arrive(swapped) {
    shownSince = Date.now();
    for (const each of document.querySelectorAll("[data-help]")) each.hidden = false;
    if (!swapped) return;
    const notice = document.querySelector("#content > .notice");
    if (!sheet()) return empty(notice);
    const heading = document.getElementById("letter-heading");
    if (heading) heading.focus({ preventScroll: true });
    const current = document.querySelector('.waiting[aria-current="true"]');
    if (current) current.scrollIntoView({ block: "nearest" });
    announce([notice && notice.textContent, heading && `Letter ${heading.textContent}`]);
  }

  // the last letter has left the queue, and with it what had the focus
  function empty(notice) {
    const content = document.getElementById("content");
    const heading = content.querySelector(".empty h2");
    if (!heading || document.activeElement !== document.body) return;
    content.focus({ preventScroll: true });
    announce([notice && notice.textContent, heading.textContent]);
  }

  // said once, to whoever does not see it
  function announce(words) {
    let place = document.getElementById("queue-says");
    if (!place) {
      place = document.createElement("div");
      place.id = "queue-says";
      place.className = "visually-hidden";
      place.setAttribute("role", "status");
      document.body.append(place);
    }
    place.textContent = words.filter(Boolean).map((each) => each.replace(/\s+/g, " ").trim()).join(" ");
  }

  arrive(false);
})();
