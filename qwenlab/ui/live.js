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
  const row = event.target.closest("[data-key]");
  if (row) trigger("submit", { key: row.dataset.key });
});
