// Before the first paint, so that a dark page does not flash.
(() => {
  const chosen = localStorage.getItem("tracker-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
