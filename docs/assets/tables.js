/* Tables that scroll are reached by keyboard, too; the theme wraps them after the page has loaded. */
addEventListener("load", () =>
  setTimeout(() => document.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => (wrap.tabIndex = 0)), 50));
