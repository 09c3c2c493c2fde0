// The table of deliveries: one page of at most 100 rows.

import { byId, element, milliseconds, mood, number, say, toggle } from "./dom.js";

const FILTERS = [
  ["all", "All", () => true],
  ["running", "In progress", (state) => mood(state) === "busy"],
  ["delivered", "Delivered", (state) => state === "delivered"],
  ["failed", "Not delivered", (state) => !["busy", "good"].includes(mood(state))],
];

/** The rows that are shown, by the delivery's number. */
const rows = new Map();

/** Calls `wanted` with the filter or the page that the user chooses, and `select` with a delivery. */
export function startTable(wanted, select) {
  const filters = byId("filters");
  for (const [name, label] of FILTERS) {
    const count = element("b", {}, "0");
    const button = element("button", { type: "button", "data-filter": name }, `${label} `, count);
    button.setAttribute("aria-pressed", String(name === "all"));
    button.addEventListener("click", () => {
      for (const other of filters.children) other.setAttribute("aria-pressed", String(other === button));
      wanted({ filter: name, page: 0 });
    });
    filters.append(button);
  }
  let page = 0;
  byId("newer").addEventListener("click", () => wanted({ page: page - 1 }));
  byId("older").addEventListener("click", () => wanted({ page: page + 1 }));
  byId("rows").addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) select(Number(row.dataset.id));
  });
  return {
    show: (view, selected) => {
      page = view.page;
      show(view, selected);
    },
  };
}

function show(view, selected) {
  for (const [name, , holds] of FILTERS) {
    const states = Object.entries(view.counts).filter(([state]) => holds(state));
    const count = states.reduce((sum, [, count]) => sum + count, 0);
    say(document.querySelector(`[data-filter="${name}"] b`), number(count));
  }
  // Rows never change their order: new ones come in between, so that none loses the focus.
  const body = byId("rows");
  const ids = new Set(view.rows.map(({ id }) => id));
  for (const [id, { row }] of rows) {
    if (!ids.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  let next = body.firstElementChild;
  for (const delivery of view.rows) {
    let shown = rows.get(delivery.id);
    if (shown) {
      next = shown.row.nextElementSibling;
    } else {
      shown = newRow(delivery);
      rows.set(delivery.id, shown);
      body.insertBefore(shown.row, next);
    }
    fillRow(shown, delivery, delivery.id === selected);
  }
  const any = Object.values(view.counts).some((count) => count > 0);
  say(byId("empty"), any ? "None." : "Nothing has been sent yet. Choose a sample and send it.");
  toggle(byId("empty"), ids.size === 0);
  toggle(byId("pager"), view.pages > 1);
  say(byId("page"), `Page ${view.page + 1} of ${view.pages}`);
  byId("newer").disabled = view.page === 0;
  byId("older").disabled = view.page + 1 >= view.pages;
  say(byId("left"), `${number(view.left)} older deliveries are no longer kept.`);
  toggle(byId("left"), view.left > 0);
}

function newRow({ id, event, webhookId, repeats }) {
  const cell = (kind) => element("td", { class: kind });
  const cells = {
    state: element("span", { class: "state" }),
    status: cell("number"),
    attempts: cell("number"),
    took: cell("number"),
  };
  const button = element("button", { type: "button", "aria-label": `Delivery ${id}` }, String(id));
  const short = event.replace(/^c1\.webhooks\.v1\.Payload/, "");
  const name = element("td", { title: event }, short);
  if (repeats) name.append(element("span", { class: "repeats" }, `again, of ${repeats}`));
  const row = element(
    "tr",
    { "data-id": id },
    element("td", { class: "number" }, button),
    name,
    element("td", {}, cells.state),
    cells.status,
    cells.attempts,
    cells.took,
    element("td", {}, element("span", { class: "id" }, webhookId)),
  );
  return { row, button, cells };
}

function fillRow({ row, button, cells }, delivery, chosen) {
  say(cells.state, delivery.state);
  const kind = `state ${mood(delivery.state)}`;
  if (cells.state.className !== kind) cells.state.className = kind;
  say(cells.status, delivery.status ?? "");
  say(cells.attempts, String(delivery.attempts || ""));
  say(cells.took, milliseconds(delivery.took));
  if (row.classList.contains("chosen") !== chosen) {
    row.classList.toggle("chosen", chosen);
    if (chosen) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}
