// Runs once for the Start page, with `element` and `trigger` from Gradio.
element.addEventListener("click", (event) => {
  const part = event.target.closest("[data-goto]");
  if (!part) return;
  const { goto: tab, name = "" } = part.dataset;
  window.qwenlab.wish = tab;
  if (name) trigger("submit", { tab, name }); // the server sets what the tab shows, then has it opened
  else window.qwenlab.open();
});
