// The form of a JSON answer. It stands behind editor.js, whose `send`, `fit`, `element` and TYPING_PAUSE it uses.
const field = (node) => node?.closest?.('[data-part="form"]');
const turnOf = (node) => Number(node.closest("[data-turn]").dataset.turn);

function sendField(box) {
  clearTimeout(box.pause);
  box.typed = false;
  const { pointer, kind } = box.dataset;
  send("form", { turn: turnOf(box), pointer, kind, text: box.value });
}

element.addEventListener("input", (event) => {
  const box = field(event.target);
  if (!box || box.tagName === "SELECT") return;
  box.typed = true;
  if (box.tagName === "TEXTAREA") fit(box);
  clearTimeout(box.pause);
  // Half a number or half a JSON value is no mistake yet: only words are sent while they are typed.
  if (box.dataset.kind === "string" && box.type !== "date") box.pause = setTimeout(() => sendField(box), TYPING_PAUSE);
});

element.addEventListener("change", (event) => {
  const box = field(event.target);
  if (box && (box.typed || box.tagName === "SELECT")) sendField(box);
});

// Before editor.js sees it: a button of the form sends more than others do.
element.addEventListener("click", (event) => {
  const button = event.target.closest('[data-do^="form"]');
  if (!button || button.disabled) return;
  event.stopPropagation();
  const { pointer, kind, text, by } = button.dataset;
  send(button.dataset.do, { turn: turnOf(button), pointer, kind, text: text ?? "", by: Number(by ?? 0) });
}, true);

// Keys that leave a field without a "change": what was typed goes first. Enter is done with a field, Shift+Enter breaks the line.
document.addEventListener("keydown", (event) => {
  const box = field(document.activeElement);
  if (!box || !element.contains(box)) return;
  const enter = event.key === "Enter" && !event.shiftKey && !event.isComposing && box.classList.contains("words");
  if (enter) event.preventDefault();
  const leaving = ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") || (event.altKey && event.key.startsWith("Arrow"));
  if ((enter || leaving) && box.typed) sendField(box);
}, true);
