// Go anywhere from the keyboard: a list that narrows as one types.

import { onDialog } from "./dialogs.js";

onDialog("palette", prepare, (dialog) => dialog.dispatchEvent(new Event("palette:opened")));

function prepare(dialog) {
  const filter = dialog.querySelector("input");
  const list = dialog.querySelector("[role=listbox]");
  const none = dialog.querySelector("[data-none]");
  const shown = () => [...list.children].filter((option) => !option.hidden);
  const selected = () => shown().find((option) => option.getAttribute("aria-selected") === "true");

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
    select(options[(options.indexOf(selected()) + by + options.length) % options.length]);
  }

  filter.addEventListener("input", narrow);
  filter.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      move(moves[event.key]);
    }
    if (event.key === "Enter") go(selected());
  });
  list.addEventListener("click", (event) => go(event.target.closest("[role=option]")));
  dialog.addEventListener("palette:opened", () => {
    filter.value = "";
    narrow();
  });
  addEntries(dialog.dataset.entriesUrl, list).then(narrow);
}

async function addEntries(url, list) {
  const response = await fetch(url, { headers: { accept: "application/json" } });
  if (!response.ok || response.redirected) return;
  const { entries } = await response.json();
  list.append(...entries.map(optionFor));
}

function optionFor({ name, kind, url }, index) {
  const option = document.createElement("li");
  option.id = `palette-entry-${index}`;
  option.setAttribute("role", "option");
  option.dataset.href = url;
  const word = document.createElement("span");
  word.textContent = name;
  const label = document.createElement("span");
  label.className = "palette-kind";
  label.textContent = kind;
  option.append(word, " ", label);
  return option;
}

function go(option) {
  if (option) location.assign(option.dataset.href);
}
