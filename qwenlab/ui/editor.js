// The Data tab in the browser: sends what a person does, and never loses words typed while an answer is on its way.
// Runs once for each of the two parts (list, conversation), with `element`, `trigger` and `watch` from Gradio.
const shared = (window.qwenlabEditor ??= { seq: 0 });
const TYPING_PAUSE = 600, SEARCH_PAUSE = 250, LEAVING_PAUSE = 120;

const talk = () => document.querySelector(".conversation");
const part = (node, name) => node.closest?.(`[data-part="${name}"]`);

// Words typed and not yet sent go along with whatever is sent next, so that the order is never lost.
function typed() {
  const found = [];
  document.querySelectorAll('.conversation textarea[data-part="text"]').forEach((box) => {
    if (!box.typed) return;
    box.typed = false;
    found.push({ turn: Number(box.closest("[data-turn]").dataset.turn), text: box.value });
  });
  return found;
}

function send(action, values = {}) {
  clearTimeout(shared.timer);
  shared.seq += 1;
  const at = Number(talk()?.dataset.open ?? -1);
  trigger("submit", { do: action, seq: shared.seq, at, texts: typed(), ...values });
}

function later(milliseconds, action, values) {
  clearTimeout(shared.timer);
  shared.timer = setTimeout(() => send(action, values?.()), milliseconds);
}

const FINDERS = ["search", "wanted", "tag", "sort"];
const search = () => Object.fromEntries(FINDERS.map((name) => [name, element.querySelector(`[data-part="${name}"]`)?.value ?? ""]));

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button || button.disabled) return;
  if (button.dataset.do === "check") return trigger("apply", {});  // it takes a while, and edits go on meanwhile
  const turn = button.closest("[data-turn]");
  send(button.dataset.do, {
    turn: turn ? Number(turn.dataset.turn) : null,
    index: button.dataset.index ? Number(button.dataset.index) : null,
    role: button.dataset.role ?? null,
    kind: button.dataset.kind ?? null,
  });
});

element.addEventListener("input", (event) => {
  if (part(event.target, "text")) {
    event.target.typed = true;
    fit(event.target);
    later(TYPING_PAUSE, "text");
  } else if (part(event.target, "search")) {
    later(SEARCH_PAUSE, "find", search);
  }
});

element.addEventListener("focusout", (event) => {
  // A click on a button comes right after and takes the words along; only without one are they sent here.
  if (part(event.target, "text")) later(LEAVING_PAUSE, "leave");
});

element.addEventListener("change", (event) => {
  const box = event.target;
  if (part(box, "role")) send("role", { turn: Number(box.closest("[data-turn]").dataset.turn), role: box.value });
  else if (part(box, "wanted") || part(box, "tag") || part(box, "sort")) send("find", search());
  else for (const name of ["id", "raw", "tags", "note"]) if (part(box, name)) send(name, { text: box.value });
});

function fit(box) {
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

// Gradio patches the page node by node; what a person changed in a box keeps its own value until told here.
function settle() {
  element.querySelectorAll("[data-value]").forEach((box) => {
    if (box !== document.activeElement || box.tagName === "SELECT") box.value = box.dataset.value;
  });
  const answered = Number(talk()?.dataset.seq ?? 0) >= shared.seq;
  element.querySelectorAll("textarea").forEach((box) => {
    if (!box.typed && answered && box.value !== box.defaultValue) box.value = box.defaultValue;
    fit(box);
  });
  element.querySelector('.row[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

if (element.querySelector(".conversation")) {
  document.addEventListener("keydown", (event) => {
    if (!element.isConnected || element.offsetParent === null) return;
    const control = event.ctrlKey || event.metaKey;
    const writing = /^(TEXTAREA|INPUT)$/.test(document.activeElement?.tagName ?? "");
    const key = event.key.toLowerCase();
    let action = null;
    if (control && key === "s") action = "save";
    else if (event.altKey && key === "arrowup") action = "previous";
    else if (event.altKey && key === "arrowdown") action = "next";
    else if (control && !writing && (key === "y" || (key === "z" && event.shiftKey))) action = "redo";
    else if (control && !writing && key === "z") action = "undo";
    if (!action) return;
    event.preventDefault();
    send(action);
  });
}

watch("value", settle);
settle();
