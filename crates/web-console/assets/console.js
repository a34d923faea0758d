// The console without this script works too. It keeps numbers fresh, saves a row in place, and counts time on.
"use strict";

document.documentElement.classList.add("js");

const POLL_MS = 2000;
const seen = new Map();
let toastTimer = 0;

function toast(text) {
  const box = document.getElementById("toast");
  box.textContent = text;
  box.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.classList.remove("shown"), 6000);
}

// Puts the parts of an answer where the page has elements of the same id. Open details stay open, and the focus stays.
function swap(html) {
  const parts = new DOMParser().parseFromString(html, "text/html").querySelectorAll("[data-swap]");
  const focus = document.activeElement ? document.activeElement.id : "";
  for (const part of parts) {
    const old = document.getElementById(part.id);
    if (!old) continue;
    for (const open of old.querySelectorAll("details[open][id]")) {
      part.querySelector("#" + CSS.escape(open.id))?.setAttribute("open", "");
    }
    old.className = part.className;
    old.replaceChildren(...part.childNodes);
    if (part.dataset.live) old.dataset.live = part.dataset.live;
    else delete old.dataset.live;
  }
  count();
  if (focus && document.activeElement.id !== focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

async function freshen(element) {
  const path = element.dataset.live;
  const answer = await fetch(path, { headers: { "x-accord-script": "1" }, cache: "no-cache" });
  if (answer.status === 401) return location.reload();
  if (!answer.ok) return;
  if (answer.headers.get("x-accord-reload")) return location.reload();
  const tag = answer.headers.get("etag");
  if (tag && seen.get(path) === tag) return;
  seen.set(path, tag);
  swap(await answer.text());
}

async function poll() {
  if (!document.hidden) {
    for (const element of document.querySelectorAll("[data-live]")) {
      try { await freshen(element); } catch { /* away for a moment: the next turn asks again */ }
    }
    for (const element of document.querySelectorAll("[data-retry]")) {
      try { if ((await fetch(location.href, { headers: { "x-accord-script": "1" } })).ok) location.reload(); } catch { void element; }
    }
  }
  setTimeout(poll, POLL_MS);
}

// A form marked so is sent in place; its answer holds the parts to put in.
async function send(form, submitter) {
  // Not form.action: a button of that name would be in its place.
  const body = new URLSearchParams(new FormData(form, submitter ?? undefined));
  const row = document.getElementById(form.dataset.inPlace);
  row?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { "x-accord-script": "1" } });
    const text = await answer.text();
    if (answer.status === 401) return location.reload();
    if (!answer.ok) return toast(text);
    swap(text);
    row?.classList.add("saved");
    setTimeout(() => row?.classList.remove("saved"), 1300);
    const said = answer.headers.get("x-accord-said");
    if (said) toast(said);
  } catch {
    toast("Not saved: the server does not answer. Try again in a moment.");
  } finally {
    row?.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.inPlace) {
    event.preventDefault();
    send(form, event.submitter);
    return;
  }
  // A second click must not send twice.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
});
addEventListener("pageshow", () => document.querySelectorAll("form button").forEach((button) => {
  if (!button.hasAttribute("data-off")) button.disabled = false;
}));

document.addEventListener("change", (event) => {
  const input = event.target;
  const form = input.form;
  if (form?.dataset.inPlace && input.dataset.saves) {
    const button = form.querySelector(`[value="${input.dataset.saves === "choose" && input.value === "" ? "unmap" : input.dataset.saves}"]`)
      ?? document.querySelector(`[form="${CSS.escape(form.id)}"][value="${input.dataset.saves}"]`);
    send(form, button);
  } else if (form?.dataset.auto !== undefined) {
    form.requestSubmit();
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    toast("Copied.");
  } catch {
    toast("Press Ctrl+C to copy.");
  }
});

document.addEventListener("keydown", (event) => {
  const drawer = document.getElementById("drawer");
  if (event.key === "Escape" && drawer?.open) {
    drawer.open = false;
    drawer.querySelector("summary").focus();
  }
});

// A list of issues by keyboard: move, choose, act.
function boxes(form) {
  return [...form.querySelectorAll("[data-row] input[type=checkbox]")];
}

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (event.target.dataset.all === undefined || !form) return;
  for (const box of boxes(form)) box.checked = event.target.checked;
});

document.addEventListener("keydown", (event) => {
  const form = document.querySelector("form[data-keys]");
  const typing = event.target.closest("select, textarea, input:not([type=checkbox])");
  if (!form || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = boxes(form);
  const at = all.indexOf(document.activeElement);
  if (event.key === "j" || event.key === "k") {
    all[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), all.length - 1)]?.focus();
  } else if (event.key === "x" && at >= 0) {
    all[at].checked = !all[at].checked;
  } else if (event.key === "a") {
    const head = form.querySelector("[data-all]");
    head.checked = !head.checked;
    for (const box of all) box.checked = head.checked;
  } else {
    const button = form.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!button || !all.some((box) => box.checked)) return;
    button.click();
  }
  event.preventDefault();
});

// A one-time link that somebody opened on this machine goes on by itself; the server decides which.
document.querySelector("form[data-goes-on]")?.requestSubmit();

// A new draft is about the time zone of whoever writes it, unless the form came back with another.
const zone = document.querySelector("input[data-zone]");
if (zone?.value === "UTC") zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

function spoken(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return "";
}

function count() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const passed = Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000);
    const text = passed >= 0 ? spoken(passed) : "";
    if (text && time.textContent !== text) time.textContent = text;
  }
}

count();
setInterval(count, 1000);
poll();
