// Telling a token's id when it is pointed at or reached with the arrow keys.

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function tell(token) {
  const view = token.closest("[data-token-view]");
  view.querySelector("[aria-current]")?.removeAttribute("aria-current");
  token.setAttribute("aria-current", "true");
  const place = [...view.querySelectorAll(".token")].indexOf(token) + 1;
  const ids = token.dataset.ids;
  const name = ids.includes(" ") ? `ids ${ids.split(" ").join(", ")}` : `id ${ids}`;
  const learned = token.closest("mark") ? "learned" : "only read";
  const text = JSON.stringify(token.textContent.replaceAll("\u21b5\n", "\n"));
  view.querySelector("[data-token-told]").textContent = `Token ${place}: ${text}, ${name}, ${learned}`;
}

document.addEventListener("pointerover", (event) => {
  const token = event.target.closest?.("[data-tokens] .token");
  if (token) tell(token);
});

document.addEventListener("keydown", (event) => {
  const tokens = event.target.closest?.("[data-tokens]");
  if (!tokens || !(event.key in STEPS)) return;
  const all = [...tokens.querySelectorAll(".token")];
  const now = all.indexOf(tokens.querySelector("[aria-current]"));
  const next = all[Math.min(all.length - 1, Math.max(0, now + STEPS[event.key]))];
  if (!next) return;
  event.preventDefault();
  tell(next);
  next.scrollIntoView({ block: "nearest" });
});

document.addEventListener("focusin", (event) => {
  if (!event.target.matches?.("[data-tokens]")) return;
  if (!event.target.querySelector("[aria-current]")) tell(event.target.querySelector(".token"));
});
