// Runs once for each part that is drawn anew while a job goes on, with `element`, `trigger` and `watch` from Gradio.
const opened = new Set();

// What a person unfolded stays unfolded when the part is drawn anew.
element.addEventListener("toggle", (event) => {
  const name = event.target.dataset?.fold;
  if (!name) return;
  if (event.target.open) opened.add(name);
  else opened.delete(name);
}, true);
watch("value", () => {
  element.querySelectorAll("details[data-fold]").forEach((part) => { part.open = opened.has(part.dataset.fold); });
});

element.addEventListener("click", (event) => {
  const link = event.target.closest("[data-goto]");
  if (link) {
    document.querySelector(`#journey [data-tab-id="${link.dataset.goto}"]`)?.click();
    return;
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    copyText(copy);
    return;
  }
  const row = event.target.closest("[data-key]");
  if (row) trigger("submit", { key: row.dataset.key });
});

// A page that is not on this computer has no clipboard of its own; there the old way works.
async function copyText(button) {
  const words = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    const box = Object.assign(document.createElement("textarea"), { value: words });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  const before = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = before; }, 1500);
}
