// The editor of cases and rules: sends what a person does, and never loses words typed while an answer is on its way.
// Runs once for each of its parts, with `element`, `trigger` and `watch` from Gradio. json_form.js stands behind it.
const desk = (window.qwenlabDesk ??= { seq: 0 });
const TYPING_PAUSE = 500;
const BOXES = "[data-set]";

const said = (box) => ({
  ...box.dataset,
  open: box.closest("[data-open]")?.dataset.open,
  text: box.type === "checkbox" ? String(box.checked) : box.value,
});

// Words typed and not yet sent go along with whatever is sent next, so that the order is never lost.
function typed() {
  const found = [];
  document.querySelectorAll(`.suite-desk ${BOXES}`).forEach((box) => {
    if (!box.typed) return;
    box.typed = false;
    found.push(said(box));
  });
  return found;
}

function send(action, values = {}) {
  clearTimeout(desk.timer);
  desk.seq += 1;
  trigger("submit", { do: action, seq: desk.seq, typed: typed(), ...values });
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button || button.disabled) return;
  if (button.dataset.do === "open") desk.opened = true;
  send(button.dataset.do, { ...button.dataset });
});

element.addEventListener("input", (event) => {
  const box = event.target.closest(BOXES);
  if (!box || box.tagName === "SELECT" || box.type === "checkbox") return;
  box.typed = true;
  fit(box);
  if (box.tagName !== "TEXTAREA" && box.type !== "search") return;
  clearTimeout(desk.timer);
  desk.timer = setTimeout(() => send("typed"), TYPING_PAUSE);
});

element.addEventListener("change", (event) => {
  const box = event.target.closest(BOXES);
  if (!box) return;
  box.typed = true;
  send("typed");
});

function fit(box) {
  if (box.tagName !== "TEXTAREA" || CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

// Gradio patches the page node by node; what a person changed in a box keeps its own value until told here.
function settle() {
  const answered = Number(element.querySelector("[data-seq]")?.dataset.seq ?? 0) >= desk.seq;
  element.querySelectorAll(`${BOXES}, [data-value]`).forEach((box) => {
    if (box.typed || !answered) return;
    if (box.type === "checkbox") box.checked = box.dataset.value === "true";
    else if (box.tagName === "TEXTAREA") { if (box.value !== box.defaultValue) box.value = box.defaultValue; }
    else if (box !== document.activeElement || box.tagName === "SELECT") box.value = box.dataset.value ?? box.value;
    fit(box);
  });
  // On a narrow screen the opened case stands far below the list.
  if (desk.opened && element.querySelector(".conversation")) {
    desk.opened = false;
    if (window.innerWidth <= 700) element.scrollIntoView({ behavior: "smooth" });
  }
}

watch("value", settle);
settle();
