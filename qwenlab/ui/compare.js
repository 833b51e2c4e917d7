// Buttons inside an HTML part: a click sends what stands in its data- attributes.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button || button.disabled || !element.contains(button)) return;
  if (button.dataset.do === "open") window.qwenlabOpened = true;
  trigger("submit", { ...button.dataset });
});
element.addEventListener("change", (event) => {
  const box = event.target.closest("select[data-do]");
  if (box) trigger("submit", { ...box.dataset, value: box.value });
});
// On a narrow screen the opened case stands far below the list.
watch("value", () => {
  if (!window.qwenlabOpened || !element.querySelector(".case")) return;
  window.qwenlabOpened = false;
  if (window.innerWidth <= 700) element.scrollIntoView({ behavior: "smooth" });
});
