// Runs once, with `element` from Gradio: opens tabs by click, by address and after a change of language.
const button = (tab) => document.querySelector(`#journey [data-tab-id="${tab}"]`);
const named = () => `tab_${location.hash.slice(1)}`;

// What the Start page wishes to be opened, once the server has chosen what is shown there.
window.qwenlab = {
  wish: "",
  open() {
    button(this.wish)?.click();
    this.wish = "";
    window.scrollTo(0, 0);
  },
};

element.addEventListener("click", (event) => {
  const language = event.target.closest("a[lang]");
  if (language) language.hash = location.hash; // the other language opens the same tab
  const part = event.target.closest("[data-goto]");
  if (part) button(part.dataset.goto)?.click();
});

// The address names the open tab, so that a reload, a bookmark or another language comes back to it.
document.addEventListener("click", (event) => {
  const tab = event.target.closest("#journey [data-tab-id]")?.dataset.tabId;
  if (tab) history.replaceState(null, "", `#${tab.replace("tab_", "")}`);
}, true);
window.addEventListener("hashchange", () => button(named())?.click());

if (location.hash) {
  const wanted = named();
  const until = Date.now() + 20000;
  const look = () => {
    const found = button(wanted);
    if (found?.getAttribute("aria-selected") === "true") return;
    found?.click();
    if (Date.now() < until) setTimeout(look, found ? 400 : 50);
  };
  look();
}
