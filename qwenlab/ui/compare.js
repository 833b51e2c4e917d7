// Buttons inside an HTML part: a click sends what stands in its data- attributes.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button || button.disabled || !element.contains(button)) return;
  trigger("submit", { ...button.dataset });
});
element.addEventListener("change", (event) => {
  const box = event.target.closest("select[data-do]");
  if (box) trigger("submit", { ...box.dataset, value: box.value });
});
