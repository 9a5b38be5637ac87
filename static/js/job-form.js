// The form of a new job: the learning rate as the multiplier is typed, and how many advanced
// settings differ from their defaults.

for (const form of document.querySelectorAll("[data-job-form]")) {
  const multiplier = form.querySelector("[name=learning_rate_multiplier]");
  const output = form.querySelector("[data-learning-rate]");
  const badge = form.querySelector("[data-changed-count]");
  const advanced = [...form.querySelectorAll("[data-advanced] :is(input, select)")];
  // Not `form.dataset`: that is the field of this name.
  const defaultRate = Number(form.getAttribute("data-default-learning-rate"));
  const initial = new Map(advanced.map((control) => [control, defaultValue(control)]));

  function showLearningRate() {
    const rate = Number(multiplier.value) * defaultRate;
    output.textContent = multiplier.value !== "" && rate > 0 ? String(Number(rate.toPrecision(4))) : "not a number above 0";
  }

  function showChangedCount() {
    const count = advanced.filter((control) => control.value !== initial.get(control)).length;
    badge.hidden = count === 0;
    badge.textContent = `${count} changed`;
  }

  form.addEventListener("input", () => {
    showLearningRate();
    showChangedCount();
  });
  showLearningRate();
  form.querySelector("[data-focus]")?.focus();
}

function defaultValue(control) {
  if (control.tagName !== "SELECT") return control.defaultValue;
  return [...control.options].find((option) => option.defaultSelected)?.value ?? control.value;
}
