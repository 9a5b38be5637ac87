// Go anywhere from the keyboard: Ctrl-K opens a filtered list, "?" the keys, "g d" a page.

import { open } from "./shell.js";

const dialog = document.querySelector("[data-palette]");
const filter = dialog.querySelector("input");
const list = dialog.querySelector("[role=listbox]");
const none = dialog.querySelector(".palette-none");
const singleKeys = document.querySelector("[data-single-keys]");
const shown = () => [...list.children].filter((option) => !option.hidden);

let isLoaded = false;
let waitsForSecondKey = false;

async function load() {
  if (isLoaded || !dialog.dataset.entriesUrl) return;
  isLoaded = true;
  const response = await fetch(dialog.dataset.entriesUrl, { headers: { accept: "application/json" } });
  if (!response.ok || response.redirected) return;
  const { entries } = await response.json();
  entries.forEach(add);
  narrow();
}

function add({ name, kind, url }, index) {
  const option = document.createElement("li");
  option.id = `palette-entry-${index}`;
  option.setAttribute("role", "option");
  option.dataset.href = url;
  for (const [text, className] of [[name, ""], [kind, "palette-kind"]]) {
    const part = document.createElement("span");
    part.textContent = text;
    part.className = className;
    option.append(part, " ");
  }
  list.append(option);
}

function select(option) {
  for (const other of list.children) other.setAttribute("aria-selected", String(other === option));
  if (!option) return filter.removeAttribute("aria-activedescendant");
  filter.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function narrow() {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const option of list.children) {
    const text = option.textContent.toLowerCase();
    option.hidden = !words.every((word) => text.includes(word));
  }
  none.hidden = shown().length > 0;
  select(shown()[0]);
}

function move(by) {
  const options = shown();
  const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  select(options[(now + by + options.length) % options.length]);
}

function go(option) {
  if (option?.dataset.href) location.assign(option.dataset.href);
}

function openPalette() {
  filter.value = "";
  open("palette");
  narrow();
  load();
}

filter.addEventListener("input", narrow);
filter.addEventListener("keydown", (event) => {
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in moves) {
    event.preventDefault();
    move(moves[event.key]);
  }
  if (event.key === "Enter") go(shown().find((option) => option.ariaSelected === "true"));
});
list.addEventListener("click", (event) => go(event.target.closest("[role=option]")));
document.querySelector('[data-open-dialog="palette"]').addEventListener("click", openPalette);

singleKeys.checked = localStorage.getItem("single-keys") !== "off";
singleKeys.addEventListener("change", () => {
  localStorage.setItem("single-keys", singleKeys.checked ? "on" : "off");
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  const isTyping = event.target.closest("input, textarea, select, dialog, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !singleKeys.checked) return;
  if (event.key === "?") open("shortcuts");
  if (waitsForSecondKey) go(list.querySelector(`[data-keys="${CSS.escape(event.key)}"]`));
  waitsForSecondKey = event.key === "g";
});
