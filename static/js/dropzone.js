// Choosing, dropping and sending a dataset's file. The form works without any of this.

const NAME_LIMIT = 120;

function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function parts(form) {
  return {
    file: form.querySelector('input[type="file"]'),
    name: form.querySelector('input[name="name"]'),
    zone: form.querySelector("[data-dropzone]"),
    chosen: form.querySelector("[data-chosen]"),
    error: form.querySelector("[data-file-error]"),
    progress: form.querySelector("[data-progress]"),
    progressText: form.querySelector("[data-progress-text]"),
    button: form.querySelector('button[type="submit"]'),
  };
}

function refusal(form) {
  const [file] = parts(form).file.files;
  if (!file || file.size <= Number(form.dataset.limitBytes)) return "";
  return `${file.name} has ${size(file.size)}; the limit is ${form.dataset.limitText}. Split it into smaller files.`;
}

function show(form) {
  const { file, name, chosen, error } = parts(form);
  const [first] = file.files;
  chosen.textContent = first ? `${first.name}, ${size(first.size)}` : "";
  error.textContent = refusal(form);
  file.setAttribute("aria-invalid", String(error.textContent !== ""));
  const isOurs = name.value === "" || name.value === name.dataset.suggested;
  if (!first || !isOurs) return;
  name.dataset.suggested = first.name.replace(/\.[^.]+$/, "").slice(0, NAME_LIMIT);
  name.value = name.dataset.suggested;
}

function bindZone(form) {
  const { zone, file } = parts(form);
  file.addEventListener("change", () => show(form));
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("is-over");
    });
  }
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget)) zone.classList.remove("is-over");
  });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("is-over");
    if (event.dataTransfer.files.length === 0) return;
    file.files = event.dataTransfer.files;
    show(form);
  });
}

function bindSending(form) {
  form.addEventListener("htmx:beforeRequest", (event) => {
    const sentence = refusal(form);
    const { progress, progressText, error, file, button } = parts(form);
    if (sentence) {
      event.preventDefault();
      error.textContent = sentence;
      file.focus();
      return;
    }
    progress.hidden = false;
    progressText.textContent = "Sending…";
    button.setAttribute("aria-disabled", "true");
  });
  form.addEventListener("htmx:xhr:progress", ({ detail }) => {
    const { progress, progressText } = parts(form);
    if (!detail.lengthComputable) return;
    const percent = Math.round((100 * detail.loaded) / detail.total);
    progress.querySelector("progress").value = percent;
    progressText.textContent =
      percent < 100 ? `${size(detail.loaded)} of ${size(detail.total)} sent` : "Checking every row…";
  });
  form.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.xhr.getResponseHeader("HX-Redirect")) return;
    parts(form).progress.hidden = true;
    parts(form).button.removeAttribute("aria-disabled");
  });
}

function bind(form) {
  if (form.dataset.bound) return;
  form.dataset.bound = "yes";
  bindZone(form);
  bindSending(form);
}

// An answer with errors replaces the form; the file that was chosen moves to the new one.
let kept = null;
document.addEventListener("htmx:beforeSwap", ({ target }) => {
  const form = target.closest?.("[data-upload]");
  if (form) kept = parts(form).file.files;
});
document.addEventListener("htmx:afterSettle", () => {
  for (const form of document.querySelectorAll("[data-upload]")) {
    if (form.dataset.bound) continue;
    bind(form);
    if (kept?.length) {
      const { file, chosen } = parts(form);
      file.files = kept;
      chosen.textContent = `${kept[0].name}, ${size(kept[0].size)}`;
    }
    form.querySelector("[data-error-summary]")?.focus();
  }
});

for (const form of document.querySelectorAll("[data-upload]")) {
  bind(form);
  show(form);
}
