// A letter is drawn onto another day: its hour stays, and the form below it is sent. Without a mouse, that form is there.
(function () {
  "use strict";

  let drawn = null;

  function prepare(root) {
    for (const letter of root.querySelectorAll("[data-movable]")) letter.draggable = true;
    const hint = root.querySelector("[data-drag-hint]");
    if (hint && root.querySelector("[data-movable]")) hint.hidden = false;
  }

  function dayUnder(event) {
    return drawn && event.target.closest ? event.target.closest("[data-day]:not(.past)") : null;
  }

  function light(day) {
    for (const other of document.querySelectorAll("[data-day].drop")) other.classList.remove("drop");
    if (day) day.classList.add("drop");
  }

  function offer(now) {
    const strip = document.querySelector("[data-drop-strip]");
    if (strip) strip.hidden = !now;
  }

  function moveTo(day) {
    const form = drawn.querySelector("form[action='/calendar/move']");
    const at = form && form.querySelector("input[name='at']");
    if (!at || at.value.slice(0, 10) === day) return;
    at.value = `${day}T${at.value.slice(11, 16)}`;
    form.requestSubmit();
  }

  document.addEventListener("dragstart", (event) => {
    const letter = event.target.closest && event.target.closest("[data-movable]");
    if (!letter) return;
    drawn = letter;
    letter.classList.add("drawn");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", letter.dataset.letter);
    setTimeout(() => offer(true)); // what changes the page at once would end the drawing
  });

  document.addEventListener("dragover", (event) => {
    const day = dayUnder(event);
    light(day);
    if (!day) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
  });

  document.addEventListener("drop", (event) => {
    const day = dayUnder(event);
    light(null);
    if (!day) return;
    event.preventDefault();
    moveTo(day.dataset.day);
  });

  document.addEventListener("dragend", () => {
    light(null);
    offer(false);
    if (drawn) drawn.classList.remove("drawn");
    drawn = null;
  });

  document.addEventListener("DOMContentLoaded", () => prepare(document));
  document.addEventListener("htmx:afterSwap", (event) => prepare(event.target));
})();
