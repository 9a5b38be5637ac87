// Keys that work on every page. Single letters can be switched off in the list that "?" shows:
// they get in the way of those who dictate.

import { onDialog, openDialog } from "./dialogs.js";

const STORED = "single-keys";
const areSingleKeysOn = () => localStorage.getItem(STORED) !== "off";
const isTyping = (target) => target.closest("input, textarea, select, dialog, [contenteditable]");
let waitsForSecondKey = false;

onDialog("shortcuts", (dialog) => {
  const choice = dialog.querySelector("[data-single-keys]");
  choice.checked = areSingleKeysOn();
  choice.addEventListener("change", () => localStorage.setItem(STORED, choice.checked ? "on" : "off"));
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openDialog("palette");
    return;
  }
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (areSingleKeysOn()) press(event.key);
});

function press(key) {
  if (key === "?") openDialog("shortcuts");
  if (waitsForSecondKey) document.querySelector(`[data-go-key="${CSS.escape(key)}"]`)?.click();
  waitsForSecondKey = key === "g";
}
