// The playground's form: who is asked, the keys, stop and clear. The history stays in the form's
// own hidden field, so the page also works when this script does not run.

import { ask, enableCopying } from "./playground-answer.js";

for (const form of document.querySelectorAll("[data-playground]")) start(form);

function start(form) {
  const { model, compare, prompt, history } = form.elements;
  const conversation = form.querySelector("[data-conversation]");
  const [send, stop] = [form.querySelector("[data-send]"), form.querySelector("[data-stop]")];
  const clear = document.querySelector("[data-clear]");
  let stopping = null;

  const exchanges = () => JSON.parse(history.value || "[]") ?? [];

  function columns() {
    const chosen = model.selectedOptions[0];
    const base = model.querySelector(`option[value="${chosen.dataset.base}"]`);
    const asked = base && compare.checked ? [base, chosen] : [chosen];
    return asked.map((option) => ({ id: option.value, name: option.text.trim(), isTuned: option.dataset.base !== "" }));
  }

  // Each model knows only its own answers: one that joins later begins a fresh conversation.
  function turnsFor(column, text) {
    const turns = exchanges().flatMap((exchange) =>
      exchange.answers
        .filter((answer) => answer.model_id === column.id && answer.text)
        .flatMap((answer) => [
          { role: "user", content: exchange.prompt },
          { role: "assistant", content: answer.text },
        ]),
    );
    return [...turns, { role: "user", content: text }];
  }

  function addExchange(text) {
    const exchange = document.querySelector("[data-exchange-template]").content.firstElementChild.cloneNode(true);
    exchange.querySelector("[data-prompt]").textContent = text;
    conversation.querySelector("[data-hint]").hidden = true;
    conversation.append(exchange);
    exchange.scrollIntoView({ block: "start" });
    return exchange.querySelector("[data-answers]");
  }

  function setAnswering(controller) {
    stopping = controller;
    stop.hidden = !controller;
    send.setAttribute("aria-disabled", String(Boolean(controller)));
  }

  async function converse() {
    const text = prompt.value;
    const place = addExchange(text);
    const controller = new AbortController();
    setAnswering(controller);
    prompt.value = "";
    const answers = await Promise.all(
      columns().map((column) => ask({ form, place, column, turns: turnsFor(column, text), signal: controller.signal })),
    );
    if (stopping !== controller) return; // cleared meanwhile
    history.value = JSON.stringify([...exchanges(), { prompt: text, answers }]);
    setAnswering(null);
  }

  function showComparison() {
    form.querySelector("[data-compare]").hidden = model.selectedOptions[0].dataset.base === "";
  }

  function keepInAddress() {
    const address = new URL(location.href);
    address.search = new URLSearchParams({ model: model.value, ...(compare.checked && { compare: "1" }) });
    window.history.replaceState(null, "", address);
    showComparison();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!stopping && prompt.value.trim()) converse();
    prompt.focus();
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit(send);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) stopping?.abort();
  });
  stop.addEventListener("click", () => {
    stopping?.abort();
    prompt.focus();
  });
  clear.addEventListener("click", (event) => {
    event.preventDefault();
    stopping?.abort();
    setAnswering(null);
    history.value = "[]";
    for (const exchange of conversation.querySelectorAll("[data-exchange]")) exchange.remove();
    conversation.querySelector("[data-hint]").hidden = false;
    prompt.focus();
  });
  model.addEventListener("change", keepInAddress);
  compare.addEventListener("change", keepInAddress);
  showComparison();
  enableCopying(document);
  prompt.focus({ preventScroll: true });
}
