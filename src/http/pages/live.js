// Keeps what a page shows up to date without reloading it: on each event of the stream,
// and now and then for the ages, the page is fetched again and the parts marked
// `data-live` take its place. Somebody who chooses or types is not interrupted.
(() => {
  "use strict";
  const SOON = 300;
  const NOW_AND_THEN = 15000;
  const status = document.getElementById("live");
  if (!status || !document.querySelector("[data-live]")) return;

  let source = null;
  let waiting = null;
  let fetching = false;
  let again = false;

  const say = (text) => {
    status.hidden = false;
    if (status.textContent !== text) status.textContent = text;
    status.dataset.state = text.toLowerCase().replace(" ", "-");
  };

  const isBusy = (part) => {
    if (part.querySelector("input[type=checkbox]:checked")) return true;
    const active = document.activeElement;
    return part.contains(active) && active.matches("input, select, textarea");
  };

  const replace = (part, fresh) => {
    const folds = [...fresh.querySelectorAll("details")];
    part.querySelectorAll("details").forEach((fold, index) => {
      if (folds[index]) folds[index].open = fold.open;
    });
    if (part.outerHTML === fresh.outerHTML) return;
    const active = document.activeElement;
    const path = part.contains(active) ? active.getAttribute("href") : null;
    const id = part.contains(active) ? active.id : null;
    part.replaceWith(fresh);
    const next = id
      ? document.getElementById(id)
      : path && [...fresh.querySelectorAll("a[href]")].find((a) => a.getAttribute("href") === path);
    if (next) next.focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.status === 401) return leave();
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const parts = [...document.querySelectorAll("[data-live]")];
      const fresh = [...page.querySelectorAll("[data-live]")];
      if (parts.map((p) => p.id).join() !== fresh.map((p) => p.id).join()) return location.reload();
      if (parts.some(isBusy)) return say("Paused");
      parts.forEach((part, index) => replace(part, document.adoptNode(fresh[index])));
      say("Live");
    } catch {
      say("Not live");
    } finally {
      fetching = false;
      if (again) {
        again = false;
        soon();
      }
    }
  };

  const leave = () => {
    close();
    location.assign("/sign-in?to=" + encodeURIComponent(location.pathname + location.search));
  };

  const soon = () => {
    if (waiting !== null) return;
    waiting = setTimeout(() => {
      waiting = null;
      refresh();
    }, SOON);
  };

  const close = () => {
    if (source) source.close();
    source = null;
  };

  const open = () => {
    if (source) return;
    source = new EventSource("/api/stream");
    source.onopen = refresh;
    source.onerror = () => {
      say("Not live");
      // A refusal ends it for good; the page finds out why.
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        refresh();
        setTimeout(() => document.hidden || open(), NOW_AND_THEN);
      }
    };
    for (const name of ["turn", "account", "reload"]) source.addEventListener(name, soon);
  };

  // A browser keeps few connections to a host: pages that nobody sees hold none.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => document.hidden || open());
  document.addEventListener("change", (event) => {
    const part = event.target.closest("[data-live]");
    if (part && !isBusy(part)) soon();
  });
  setInterval(() => document.hidden || refresh(), NOW_AND_THEN);
  if (!document.hidden) open();
})();
