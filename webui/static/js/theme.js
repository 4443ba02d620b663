// A classic script in the head: it sets a chosen theme before anything is painted.
(() => {
  try {
    const theme = localStorage.getItem('slackdev.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Without storage the theme is the system's.
  }
})();
