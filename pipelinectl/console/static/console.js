// What the pages do beside htmx: stay still while nobody looks or while text is selected, and say
// so when the console does not answer.
"use strict";

const lost = () => document.getElementById("lost");

document.addEventListener("htmx:beforeRequest", (event) => {
  const live = document.getElementById("live");
  const selection = document.getSelection();
  const selecting =
    selection && !selection.isCollapsed && live && live.contains(selection.anchorNode);
  if (document.hidden || selecting) {
    event.preventDefault();
  }
});

document.addEventListener("htmx:sendError", () => {
  lost().hidden = false;
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr && event.detail.xhr.status > 0) {
    lost().hidden = true;
  }
});

// The log is read from its end.
const toTheEnd = () => {
  for (const log of document.querySelectorAll("pre.log")) {
    log.scrollTop = log.scrollHeight;
  }
};
document.addEventListener("DOMContentLoaded", toTheEnd);
document.addEventListener("htmx:afterSwap", toTheEnd);
