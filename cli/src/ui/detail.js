// One delivery: its verdict, and what happened in it.

import { byId, clock, drawn, element, milliseconds, mood, post, say, toggle } from "./dom.js";
import { fill } from "./form.js";

let shown = null;

export function startDetail(repeated, close) {
  const repeat = (webhook) => async () => {
    try {
      repeated(await post("/ui/repeat", { id: shown.id, webhook }));
    } catch (error) {
      say(byId("detail-error"), error.message);
    }
  };
  byId("again").addEventListener("click", repeat("same"));
  byId("anew").addEventListener("click", repeat("new"));
  byId("close").addEventListener("click", close);
  byId("edit").addEventListener("click", async () => {
    const answer = await fetch(`/ui/payload/${shown.id}`);
    if (!answer.ok) return say(byId("detail-error"), "The delivery is no longer kept.");
    fill(shown.event, await answer.text());
    byId("payload").focus();
  });
}

export function hideDetail() {
  shown = null;
  toggle(byId("detail"), false);
}

export function showDetail(delivery) {
  const open = [...byId("timeline").querySelectorAll("details[open]")].map((node) => node.dataset.key);
  shown = delivery;
  toggle(byId("detail"), true);
  say(byId("detail-title"), `Delivery ${delivery.id}`);
  say(byId("detail-error"), "");
  facts(delivery);
  verdict(delivery);
  const { events, more } = timeline(delivery);
  byId("timeline").replaceChildren(lanes(), ...events.map((event) => line(event, open)));
  if (more) byId("timeline").append(element("li", {}, element("span"), element("span"), more));
}

function facts({ event, webhookId, repeats, to, target, begun }) {
  const entries = [
    ["Event", event],
    ["Webhook id", element("span", { class: "id" }, webhookId)],
    ["Receiver", to],
    ["Token for", target === to ? null : target],
    ["Duplicate of", repeats ? `delivery ${repeats}: the same webhook, with a new token` : null],
    ["Begun", begun ? clock(begun) : null],
  ];
  byId("facts").replaceChildren(...list(entries));
}

/** Pairs of a description list, without those that have no text. */
function list(entries) {
  return entries
    .filter(([, text]) => text)
    .flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]);
}

function verdict({ state, failure, document, took }) {
  const box = byId("verdict");
  box.className = `verdict ${mood(state)}`;
  const after = took === null ? "" : ` after ${milliseconds(took)}`;
  const title = element("strong", {}, state[0].toUpperCase() + state.slice(1) + after);
  const code = failure?.code && element("code", {}, failure.code);
  const entries = failure
    ? [["Code", code], ["Reason", failure.why], ["Remedy", sentence(failure.remedy)]]
    : [];
  const parts = [title];
  if (failure) parts.push(element("dl", {}, ...list(entries)));
  if (document?.text) parts.push(element("pre", { tabindex: 0, "aria-label": "Document" }, cut(document)));
  box.replaceChildren(...parts);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const MOST_EVENTS = 160;

/** What happened, in the order of time. */
function timeline({ tries, callbacks, state, failure }) {
  const events = [];
  tries.forEach((attempt, index) => {
    const number = index + 1;
    events.push({ at: attempt.at, way: "to", what: `POST, attempt ${number}`, kind: "" });
    if (attempt.status === null) return;
    const good = attempt.status.startsWith("2");
    events.push({
      at: attempt.at + attempt.took,
      way: attempt.trouble ? "none" : "from",
      what: attempt.status,
      more: attempt.trouble ?? undefined,
      text: attempt.text,
      label: "Answer",
      kind: good ? "good" : "bad",
      key: `answer ${number}`,
    });
    if (attempt.pause) {
      events.push({ at: attempt.at + attempt.took, way: "wait", what: `pause of ${milliseconds(attempt.pause)}`, kind: "busy" });
    }
  });
  callbacks.forEach((callback, index) => {
    events.push({
      at: callback.at,
      way: "from",
      what: callback.refused ? "callback refused: 400" : "callback accepted: 200",
      more: callback.refused ?? undefined,
      text: callback.text,
      label: "Document",
      kind: callback.refused ? "bad" : "good",
      key: `callback ${index}`,
    });
  });
  events.sort((one, other) => one.at - other.at);
  if (state === "waiting for callback") {
    events.push({ at: null, way: "wait", what: "the receiver posts its document later", kind: "busy" });
  } else if (state === "not delivered" && failure && tries.at(-1)?.status?.startsWith("202")) {
    events.push({ at: null, way: "wait", what: failure.why, kind: "bad" });
  }
  const more = events.length > MOST_EVENTS ? `and ${events.length - MOST_EVENTS} more` : null;
  return { events: events.slice(0, MOST_EVENTS), more };
}

function lanes() {
  const names = element("span", { class: "lanes" }, element("span", {}, "c1"), element("span", {}, "receiver"));
  return element("li", { "aria-hidden": "true" }, element("span"), names, element("span"));
}

function line({ at, way, what, more, text, label, kind, key }, open) {
  const said = element("div", {}, element("span", { class: `what ${kind}` }, what));
  if (more) said.append(" ", element("span", { class: "more" }, more));
  if (text?.text) {
    const details = element(
      "details",
      { "data-key": key },
      element("summary", {}, `${label}, ${text.bytes} bytes`),
      element("pre", { tabindex: 0, "aria-label": label }, cut(text)),
    );
    details.open = open.includes(key);
    said.append(details);
  }
  const time = element("span", { class: "time" }, at === null ? "" : `+${milliseconds(at)}`);
  return element("li", {}, time, picture(way, kind), said);
}

/** The begin of a text, and how long the whole is. */
function cut({ text, bytes }) {
  const shownBytes = new TextEncoder().encode(text).length;
  return shownBytes < bytes && shownBytes > 4000 ? `${text}… (${bytes} bytes in all)` : text;
}

/** An arrow between the two lanes. */
function picture(way, kind) {
  const parts = [];
  const arrow = (d) => drawn("path", { class: `arrow ${kind}`, d });
  if (way === "to") parts.push(arrow("M0 12H198M190 7l8 5-8 5"));
  if (way === "from") parts.push(arrow("M200 12H2M10 7l-8 5 8 5"));
  if (way === "none") parts.push(arrow("M0 12H100M95 7l10 10M105 7l-10 10"));
  if (way === "wait") parts.push(drawn("line", { class: "wait", x1: 0, x2: 200, y1: 12, y2: 12 }));
  const svg = drawn("svg", { viewBox: "0 0 200 24", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
  return element("span", { class: "way" }, svg);
}
