// The frame of every page: dialogs, the account menu, messages, and what happens when the
// studio stops answering. Knows no product pages.

import { openDialog } from "./dialogs.js";

const frame = document.body;
const messages = document.getElementById("messages");

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open-dialog]");
  if (opener) openDialog(opener.dataset.openDialog);
  event.target.closest("[data-dismiss]")?.closest(".notice").remove();
  // A click on the backdrop reports the dialog itself as its target.
  if (event.target instanceof HTMLDialogElement) event.target.close();
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("[data-menu][open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Polling must not pile up notices: there is one about being away, and it leaves by itself.
let away = null;

function sayAway() {
  if (away) return;
  away = document.createElement("div");
  away.className = "notice notice-warning";
  away.textContent = "The studio does not answer. Nothing is lost; this page tries again by itself.";
  messages.append(away);
}

function sayBack() {
  away?.remove();
  away = null;
}

document.addEventListener("htmx:sendError", sayAway);
document.addEventListener("htmx:afterOnLoad", sayBack);

document.addEventListener("htmx:responseError", (event) => {
  const isPolled = event.detail.requestConfig.triggeringEvent === undefined;
  if (event.detail.xhr.status >= 502) sayAway();
  else if (!isPolled) sayFailed(event.detail.xhr.status);
});

function sayFailed(status) {
  const notice = document.createElement("div");
  notice.className = "notice notice-bad";
  notice.textContent =
    status === 403 || status === 404
      ? "This is no longer here or no longer open to you. Reload the page to see how things stand."
      : `The studio could not do this (error ${status}). Nothing was changed; try again.`;
  messages.append(notice);
}

// A session that ended answers a fragment's request with the sign-in page. Go there whole.
document.addEventListener("htmx:beforeSwap", (event) => {
  const address = event.detail.xhr.responseURL;
  if (address && new URL(address).pathname === frame.dataset.signInPath) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

// A refused form is announced by moving to its summary, on a page and in a fragment alike.
function focusSummary(root) {
  root.querySelector?.("[data-focus]")?.focus();
}

focusSummary(document);
document.addEventListener("htmx:afterSettle", (event) => focusSummary(event.detail.elt));

// Leaving a page ends its requests. That is no failure, so nobody is told of one.
const requests = new Set();
document.addEventListener("htmx:beforeSend", ({ detail: { xhr } }) => {
  requests.add(xhr);
  xhr.addEventListener("loadend", () => requests.delete(xhr));
});
for (const leaving of ["beforeunload", "pagehide"]) {
  window.addEventListener(leaving, () => {
    for (const xhr of requests) xhr.onerror = xhr.onabort = null;
  });
}
