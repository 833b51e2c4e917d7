// The Test tab in the browser: clicks, choices, the search box, and the keys that walk through the cases.
// Runs once for each part, with `element`, `trigger` and `watch` from Gradio.
const SEARCH_PAUSE = 250;
const folds = new Map();
let timer = null;

const send = (node, values = {}) => trigger("submit", { ...node.dataset, ...values });

element.addEventListener("click", (event) => {
  const link = event.target.closest("[data-goto]");
  if (link) return document.querySelector(`#journey [data-tab-id="${link.dataset.goto}"]`)?.click();
  const button = event.target.closest("button[data-do]");
  if (!button || button.disabled) return;
  if (button.dataset.do === "open") window.qwenlabCaseOpened = true;
  send(button);
});

element.addEventListener("change", (event) => {
  const box = event.target.closest("select[data-do]");
  if (box) send(box, { value: box.value });
});

element.addEventListener("input", (event) => {
  const box = event.target.closest("input[data-do]");
  if (!box) return;
  clearTimeout(timer);
  timer = setTimeout(() => send(box, { value: box.value }), SEARCH_PAUSE);
});

// Up and down walk through the list, left and right go to the case before and after.
element.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const rows = [...element.querySelectorAll('.matrix button[data-do="open"]')];
  const at = rows.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (at >= 0 && to !== undefined) {
    event.preventDefault();
    rows[to]?.focus();
    return;
  }
  const way = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
  const step = way && document.querySelector(`#test-case button[data-key="${way}"]`);
  if (!step || event.target.closest("pre, .scroll")) return;
  event.preventDefault();
  step.click();
});

// What a person folded or unfolded stays so when the part is drawn anew.
element.addEventListener("toggle", (event) => {
  const name = event.target.dataset?.fold;
  if (name) folds.set(name, event.target.open);
}, true);

function settle() {
  element.querySelectorAll("details[data-fold]").forEach((part) => {
    if (folds.has(part.dataset.fold)) part.open = folds.get(part.dataset.fold);
  });
  // Gradio patches the page node by node; a box keeps what a person chose in it until told here.
  element.querySelectorAll("select[data-value], input[data-value]").forEach((box) => {
    if (box !== document.activeElement || box.tagName === "SELECT") box.value = box.dataset.value;
  });
  // On a narrow screen the opened case stands far below the list.
  if (!window.qwenlabCaseOpened || !element.querySelector(".case")) return;
  window.qwenlabCaseOpened = false;
  if (window.innerWidth <= 700) element.scrollIntoView({ behavior: "smooth" });
}

watch("value", settle);
