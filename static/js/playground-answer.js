// One model's answer on the page: asked for, filled as it streams, and ended in words.

const AWAY = "The studio stopped answering. Check that it runs, then send your prompt again.";
const SIGNED_OUT = "Your session has ended. Reload the page and sign in; then send your prompt again.";
const OUTDATED = "This page is out of date. Reload it, then send your prompt again.";

/** Ask, and show what comes. Gives the answer as the conversation keeps it. */
export async function ask({ form, place, column, turns, signal }) {
  const view = show(place, column);
  const answer = { model_id: column.id, name: column.name, is_tuned: column.isTuned, text: "", note: "", error: "" };
  const handlers = {
    state: ({ words }) => view.setState(words),
    piece: ({ text }) => {
      answer.text += text;
      view.add(text);
    },
    end: ({ words }) => (answer.note = words),
    error: ({ words }) => (answer.error = words),
  };
  try {
    const response = await fetch(form.dataset.answerUrl, { method: "POST", body: question(form, column, turns), signal });
    const refusal = await refusalOf(response);
    if (refusal) answer.error = refusal;
    else for await (const event of eventsOf(response)) handlers[event.type](event);
    if (!answer.note && !answer.error) answer.error = AWAY;
  } catch (error) {
    if (signal.aborted) answer.note = "Stopped";
    else answer.error = AWAY;
  }
  view.finish(answer);
  return answer;
}

function question(form, column, turns) {
  const body = new FormData(form);
  for (const name of ["history", "prompt", "compare"]) body.delete(name);
  body.set("model", column.id);
  body.set("turns", JSON.stringify(turns));
  return body;
}

async function refusalOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) return null;
  if (type.startsWith("application/json")) return (await response.json()).error;
  if (response.redirected) return SIGNED_OUT;
  return response.status === 403 ? OUTDATED : AWAY;
}

async function* eventsOf(response) {
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    const events = (rest + chunk.value).split("\n\n");
    rest = events.pop();
    for (const event of events) yield JSON.parse(event.slice("data: ".length));
  }
}

function show(place, column) {
  const element = document.querySelector("[data-answer-template]").content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector(`[data-${name}]`);
  element.dataset.kind = column.isTuned ? "tuned" : "base";
  part("name").textContent = column.name;
  part("text").setAttribute("aria-busy", "true"); // read out when complete, not piece by piece
  place.append(element);
  return {
    setState(words) {
      part("state").textContent = words;
      part("state").hidden = !words;
    },
    add(text) {
      const isAtFoot = scrollY + innerHeight >= document.documentElement.scrollHeight - 40;
      this.setState("");
      part("text").append(text);
      if (isAtFoot) scrollTo({ top: document.documentElement.scrollHeight });
    },
    finish({ text, note, error }) {
      this.setState("");
      part("text").removeAttribute("aria-busy");
      part("text").hidden = !text;
      part("note").textContent = note;
      part("error").textContent = error;
      part("error").hidden = !error;
      if (text) enableCopying(element);
    },
  };
}

/** Make the copy buttons of answers work, where the browser lets a page copy. */
export function enableCopying(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) {
    const word = button.querySelector("[data-copy-word]");
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.closest("[data-answer]").querySelector("[data-text]").textContent);
      word.textContent = "Copied";
      setTimeout(() => (word.textContent = "Copy"), 2000);
    });
  }
}
