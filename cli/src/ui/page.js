// Starts the page, and keeps it up to date.

import { byId, clock, element, number, post, say, toggle } from "./dom.js";
import { startForm } from "./form.js";
import { hideDetail, showDetail, startDetail } from "./detail.js";
import { startTable } from "./table.js";

/** The least time between two updates, however much happens. */
const TICK = 250;

const wanted = { after: 0, filter: "all", page: 0, selected: 0, seen: 0 };
let asking = new AbortController();

/** Asks for something else, at once. */
function want(changes) {
  Object.assign(wanted, changes, { after: 0 });
  asking.abort();
}

function select(id) {
  want({ selected: id, seen: 0 });
}

const table = startTable(want, (id) => {
  select(id);
  byId("detail").dataset.focus = "wanted";
});

function sent({ first, last }) {
  want({ filter: "all", page: 0 });
  for (const button of byId("filters").children) {
    button.setAttribute("aria-pressed", String(button.dataset.filter === "all"));
  }
  if (first === last) select(first);
}

const pause = (time) => new Promise((done) => setTimeout(done, time));

async function keepUpToDate() {
  for (;;) {
    asking = new AbortController();
    const { after, filter, page, selected, seen } = wanted;
    try {
      const path = `/ui/view/${after}/${filter}/${page}/${selected}/${seen}`;
      const answer = await fetch(path, { signal: asking.signal });
      if (!answer.ok) throw new Error(await answer.text());
      const view = await answer.json();
      if (!asking.signal.aborted) show(view);
      say(byId("connection"), "");
      await pause(TICK);
    } catch (error) {
      if (asking.signal.aborted) continue;
      say(byId("connection"), "c1 does not answer. Is it still running?");
      wanted.after = 0;
      await pause(2000);
    }
  }
}

function show(view) {
  wanted.after = view.changes;
  if (view.page >= view.pages) return want({ page: view.pages - 1 });
  table.show(view, wanted.selected);
  if (view.detail) {
    wanted.seen = view.detail.changed;
    showDetail(view.detail);
    focusDetail();
  } else if (wanted.selected && !view.selected) {
    close();
  }
  notices(view.notices);
  progress(view.counts);
}

function focusDetail() {
  const detail = byId("detail");
  if (detail.dataset.focus) {
    delete detail.dataset.focus;
    detail.focus({ preventScroll: true });
    detail.scrollIntoView({ block: "nearest" });
  }
}

function close() {
  const row = document.querySelector(`tr[data-id="${wanted.selected}"] button`);
  Object.assign(wanted, { selected: 0, seen: 0 });
  row?.removeAttribute("aria-current");
  row?.closest("tr").classList.remove("chosen");
  hideDetail();
  row?.focus();
}

let noted = "";

function notices(list) {
  const now = JSON.stringify(list);
  if (now === noted) return;
  noted = now;
  const lines = list.map(({ at, what, event, why, delivery }) => {
    const kind = { "callback accepted": "good", "callback refused": "bad" }[what] ?? "";
    const line = element("li", {}, element("time", {}, clock(at)), element("b", { class: kind }, what));
    if (delivery) line.append(` for delivery ${delivery}`);
    else if (event) line.append(` for ${event}`);
    if (why) line.append(`: ${why}`);
    return line;
  });
  byId("notices").replaceChildren(...lines);
  toggle(byId("no-notices"), lines.length === 0);
  if (lines.length) byId("notices").setAttribute("tabindex", "0");
}

let said = 0;

/** Tells screen readers how far it is, now and then and at the end. */
function progress(counts) {
  const sum = (...states) => states.reduce((sum, state) => sum + counts[state], 0);
  const running = sum("queued", "sending", "retrying", "waiting for callback");
  toggle(byId("stop"), running > 0);
  const now = Date.now();
  if (running > 0 && now - said < 5000) return;
  said = now;
  const failed = sum("refused", "not delivered", "stopped");
  const all = running + failed + counts.delivered;
  if (all) {
    say(byId("progress"), `${number(counts.delivered)} delivered, ${number(failed)} not delivered, ${number(running)} in progress`);
  }
}

const setup = await (await fetch("/ui/setup")).json();
say(byId("tenant"), setup.tenant);
say(byId("keys"), setup.keys);
byId("stop").addEventListener("click", () => post("/ui/stop", {}));
startDetail(sent, close);
await startForm(setup, sent);
keepUpToDate();
