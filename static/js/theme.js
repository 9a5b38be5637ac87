// Switches between light, dark and the system's theme without a reload.
// The form also works alone: the server sets the same cookie. Charts listen for "theme:changed".

function choose(form, value) {
  document.cookie = `theme=${value}; path=/; max-age=31536000; samesite=lax`;
  document.documentElement.dataset.theme = value;
  for (const button of document.querySelectorAll("[data-theme-switch] button")) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
  announce();
}

function announce() {
  document.dispatchEvent(new CustomEvent("theme:changed"));
}

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-theme-switch]")) {
    event.preventDefault();
    choose(event.target, event.submitter.value);
  }
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
