// Puts the reader's choice of light or dark in place before anything is drawn.

try {
  const theme = localStorage.getItem("wstap.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's choice holds.
}
