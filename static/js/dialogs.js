// The dialogs of the frame lie in a <template> and join the page when one is first opened, so
// that their words and fields are not in the way of anyone reading or searching the page.

const template = document.getElementById("dialogs");
const makers = new Map();

// `prepare(dialog)` runs once, when the dialog joins the page; `opened(dialog)` each time.
export function onDialog(id, prepare, opened = () => {}) {
  makers.set(id, { prepare, opened });
}

export function openDialog(id) {
  if (!template || document.querySelector("dialog[open]")) return;
  const dialog = document.getElementById(id) ?? join(id);
  dialog.showModal();
  makers.get(id)?.opened(dialog);
}

function join(id) {
  const dialog = document.importNode(template.content.getElementById(id), true);
  document.body.append(dialog);
  makers.get(id)?.prepare(dialog);
  return dialog;
}
