// Syncline console: what a script adds to pages that are complete without it.
// Theme, local and relative times, row selection, keys, palette, what goes on now, and the slider beside each number.
(() => {
  "use strict";
  const root = document.documentElement;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.classList.add("js");

  // Theme: system → light → dark, kept in a cookie, so that the server draws the right one at once.
  const base = root.dataset.base ?? "";
  const themes = ["system", "light", "dark"];
  let theme = root.dataset.theme ?? "system";
  const showTheme = () => $("#theme")?.setAttribute("aria-label", `Theme: ${theme}`);
  showTheme();
  $("#theme")?.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    document.cookie = `syncline_theme=${theme}; path=${base || "/"}; max-age=31536000; samesite=lax`;
    showTheme();
  });

  // Relative times: <time data-rel> only; the server's clock counts, not the reader's.
  const skew = root.dataset.now ? Date.parse(root.dataset.now) - Date.now() : 0;
  const span = (seconds) => {
    const minutes = Math.floor(seconds / 60);
    if (minutes < 1) return `${Math.floor(seconds)} s`;
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours >= 48) return `${Math.floor(hours / 24)} d`;
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  };
  const tick = () => {
    for (const node of $$("time[data-rel]")) {
      const ahead = (Date.parse(node.dateTime) - Date.now() - skew) / 1000;
      node.textContent = ahead < 0 ? `${span(-ahead)} ago` : `in ${span(ahead)}`;
    }
  };
  setInterval(tick, 10_000);

  // Moments in the reader's zone; the server wrote them in UTC, which stays in the title.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const two = (n) => String(n).padStart(2, "0");
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const localise = (from) => {
    const today = new Date(Date.now() + skew);
    for (const node of $$("time[datetime]:not([data-rel])", from)) {
      const at = new Date(node.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
      const day = `${at.getDate()} ${months[at.getMonth()]}`;
      if (node.dataset.f === "s") node.textContent = `${clock}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
      else if (at.toDateString() === today.toDateString()) node.textContent = clock;
      else if (at.getFullYear() === today.getFullYear()) node.textContent = `${day} ${clock}`;
      else node.textContent = `${day} ${at.getFullYear()}`;
    }
    for (const node of $$("[data-zone]", from)) node.textContent = zone;
    tick();
  };
  localise(document);

  // Row selection: all, shift for a range, and the count in the bar. Rows may be drawn anew, so the table listens.
  const picks = () => $$("tbody .pick input");
  const recount = () => {
    const count = $("[data-count]");
    if (count) count.textContent = String(picks().filter((box) => box.checked).length);
  };
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (box.matches?.("[data-all]")) {
      picks().forEach((other) => { other.checked = box.checked; });
      recount();
      return;
    }
    if (!box.matches?.("tbody .pick input")) return;
    const all = picks();
    const index = all.indexOf(box);
    if (event.shiftKey && last !== null) {
      const [from, to] = [Math.min(last, index), Math.max(last, index)];
      all.slice(from, to + 1).forEach((other) => { other.checked = box.checked; });
    }
    last = index;
    recount();
  });
  recount();

  // A slider and its number: the number is the field, the slider follows it and leads it.
  for (const slider of $$("input[type=range][data-for]")) {
    const field = document.getElementById(slider.dataset.for);
    slider.addEventListener("input", () => { field.value = slider.value; });
    field.addEventListener("input", () => { slider.value = field.value; });
  }

  // Keys: never inside a field, never with Ctrl, Alt or Meta, except Ctrl K.
  const places = {};
  for (const link of $$(".nav a[data-key]")) places[link.dataset.key] = link.href;
  let leader = 0;
  const rows = () => $$("tbody tr").filter((row) => $("th a", row));
  const move = (step) => {
    const links = rows().map((row) => $("th a", row));
    const next = links[links.indexOf(document.activeElement) + step] ?? links[0];
    next?.focus();
  };
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); openPalette(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea, dialog")) return;
    if (event.timeStamp - leader < 1000 && places[event.key]) { location.href = places[event.key]; return; }
    leader = event.key === "g" ? event.timeStamp : 0;
    if (event.key === "/") { const box = $("input[type=search]"); if (box) { event.preventDefault(); box.focus(); } }
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
    if (event.key === " ") {
      const box = event.target.closest("tbody tr")?.querySelector(".pick input");
      if (box && event.target !== box) { event.preventDefault(); box.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: event.shiftKey })); }
    }
    if (event.key === "?") location.href = `${base}/keys`;
  });

  // Palette: the navigation's own links, filtered as one types.
  let palette = null;
  function openPalette() {
    palette ??= buildPalette();
    palette.showModal();
    $("input", palette).select();
  }
  function buildPalette() {
    const dialog = document.createElement("dialog");
    dialog.className = "palette";
    dialog.setAttribute("aria-label", "Go to");
    const input = Object.assign(document.createElement("input"), { className: "input", type: "text", placeholder: "Go to a page" });
    input.setAttribute("aria-label", "Go to a page");
    const list = document.createElement("ul");
    for (const link of $$(".nav a")) {
      const item = document.createElement("li");
      const copy = document.createElement("a");
      copy.href = link.href;
      copy.append($("svg", link).cloneNode(true), link.childNodes[1].textContent);
      item.append(copy);
      list.append(item);
    }
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
    });
    dialog.addEventListener("keydown", (event) => {
      const links = $$("li:not([hidden]) a", list);
      const at = links.indexOf(document.activeElement);
      if (event.key === "ArrowDown") { event.preventDefault(); (links[at + 1] ?? links[0])?.focus(); }
      if (event.key === "ArrowUp") { event.preventDefault(); (links[at - 1] ?? input).focus(); }
      if (event.key === "Enter" && event.target === input) links[0]?.click();
    });
    dialog.append(input, list);
    document.body.append(dialog);
    return dialog;
  }
  $("#find")?.addEventListener("click", (event) => { event.preventDefault(); openPalette(); });

  // Copying what is shown once.
  for (const button of $$("[data-copy]")) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch { button.textContent = "Select it by hand"; }
    });
  }

  // What goes on: parts of the page that say how often (data-live, in seconds) are drawn anew by the server, while
  // somebody looks. What is under the hand (focus, ticked rows, an open menu) is left alone.
  const state = $("[data-live-state]");
  const every = Math.min(...$$("[data-live]").map((part) => Number(part.dataset.live)).filter((n) => n > 0));
  let heard = Date.now();
  const isBusy = (part) => part.contains(document.activeElement) || $("input:checked", part) || $("details[open]", part);
  const say = (text, isOff) => { if (state) { state.textContent = text; state.classList.toggle("off", isOff); } };
  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { "x-refresh": "1" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of $$("[data-live][id]")) {
        const next = fresh.getElementById(part.id);
        if (next && !isBusy(part)) part.replaceWith(document.adoptNode(next));
      }
      heard = Date.now();
      localise(document);
      recount();
      say("Live", false);
    } catch {
      say(`No connection for ${span((Date.now() - heard) / 1000)}`, true);
    }
  }
  if (Number.isFinite(every)) setInterval(refresh, every * 1000);
  else if (state) state.hidden = true;

  // The progress of a run, by events: it survives a reload, since the server tells where it is at once.
  const progress = $("#progress[data-events]");
  if (progress) {
    const part = (name) => $(`[data-p=${name}]`, progress);
    const number = (n) => Math.round(n).toLocaleString("en-US");
    const duration = (s) => (s < 60 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`);
    const source = new EventSource(progress.dataset.events);
    source.addEventListener("progress", (event) => {
      const now = JSON.parse(event.data);
      const all = now.issues_total_estimate;
      const bar = $("progress", progress);
      if (all !== null && !bar) { location.reload(); return; }
      part("done").textContent = `${number(now.issues_done)}${all === null ? "" : ` of about ${number(all)}`} issues`;
      part("time").textContent = `${duration(now.elapsed_seconds)} so far${now.remaining_seconds === null ? "" : `, about ${duration(now.remaining_seconds)} left`}`;
      part("rate").textContent = `${number(now.issues_done / Math.max(now.elapsed_seconds, 0.001))} issues/s · ${number(now.pages_applied)} of ${number(now.pages_fetched)} pages written`;
      part("percent").textContent = now.percent === null ? "" : `${Math.round(now.percent)} %`;
      if (bar) { bar.max = all; bar.value = now.issues_done; }
      say("Live", false);
    });
    source.addEventListener("end", () => { source.close(); location.reload(); });
    source.addEventListener("error", () => say("No connection", true));
  }
})();
