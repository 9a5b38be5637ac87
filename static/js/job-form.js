// The form of a new job: how many settings behind each fold differ from their defaults, and rows
// of more data that come and go without asking the server.

for (const form of document.querySelectorAll("[data-job-form]")) {
  for (const fold of form.querySelectorAll("[data-fold]")) countChanges(form, fold);
  keepRows(form);
  form.querySelector("[data-focus]")?.focus();
}

function countChanges(form, fold) {
  const badge = fold.querySelector("[data-changed-count]");

  form.addEventListener("input", () => {
    const changed = [...fold.querySelectorAll("[data-default]")].filter(isChanged).length;
    badge.textContent = `${changed} changed`;
    badge.hidden = changed === 0;
  });
}

// An empty field means its default, and 1 is 1.0.
function isChanged(control) {
  const untouched = control.dataset.default;
  if (control.type === "checkbox") return String(control.checked) !== untouched;
  if (control.value === "" || control.value === untouched) return false;
  return untouched === "" || Number(control.value) !== Number(untouched);
}

function keepRows(form) {
  const rows = form.querySelector("[data-rows]");
  const template = form.querySelector("[data-row-template]");
  const total = form.querySelector("[name=more-TOTAL_FORMS]");

  function offerRemoval() {
    for (const button of rows.querySelectorAll("[data-remove-row]")) button.hidden = false;
  }

  form.querySelector("[data-add-row]").addEventListener("click", (event) => {
    event.preventDefault();
    const number = Number(total.value);
    rows.insertAdjacentHTML("beforeend", template.innerHTML.replaceAll("__prefix__", number));
    total.value = number + 1;
    offerRemoval();
    rows.lastElementChild.querySelector("select").focus();
  });

  // A removed row stays as an empty one that is not shown: the numbers of the others stay theirs.
  rows.addEventListener("click", (event) => {
    const row = event.target.closest("[data-remove-row]")?.closest("[data-row]");
    if (!row) return;
    row.querySelector("select").value = "";
    row.hidden = true;
    form.querySelector("[data-add-row]").focus();
    form.dispatchEvent(new Event("change"));
    form.dispatchEvent(new Event("input"));
  });

  offerRemoval();
}
