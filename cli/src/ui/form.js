// The form: a sample, its payload, and where to send it.

import { byId, element, post, say } from "./dom.js";

const FIELDS = ["event", "payload", "to", "publicUrl", "attempts", "pause", "callbackWait", "times"];
const MAX_PAYLOAD = 2 * 1024 * 1024;
const NUMBERS = ["attempts", "pause", "callbackWait"];

export async function startForm(setup, sent) {
  const fixture = byId("fixture");
  const groups = new Map();
  for (const { name, event } of setup.fixtures) {
    if (!groups.has(event)) {
      const label = event.replace(/^c1\.webhooks\.v1\.Payload/, "");
      groups.set(event, element("optgroup", { label }));
    }
    groups.get(event).append(element("option", { value: name }, name));
  }
  fixture.append(...groups.values());
  fixture.value = "provision_step/grant.full";
  byId("to").value = setup.to;

  const choose = async () => {
    const { name, event } = setup.fixtures.find(({ name }) => name === fixture.value);
    const answer = await fetch(`/ui/fixtures/${name}`);
    fill(event, await answer.text());
  };
  fixture.addEventListener("change", choose);
  byId("payload").addEventListener("input", checkPayload);
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(1, sent);
  });
  byId("send-many").addEventListener("click", () => send(byId("times").valueAsNumber, sent));
  await choose();
}

/** Puts an event and its payload into the form. */
export function fill(event, payload) {
  byId("event").value = event;
  byId("payload").value = payload;
  checkPayload();
}

async function send(times, sent) {
  FIELDS.forEach((field) => wrong(field, ""));
  if (!checkPayload()) return byId("payload").focus();
  const body = { times: Number.isInteger(times) ? times : 0 };
  for (const field of ["event", "payload", "to", "publicUrl"]) body[field] = byId(field).value;
  for (const field of NUMBERS) {
    const input = byId(field);
    body[field] = input.value === "" && !input.validity.badInput ? null : input.valueAsNumber;
  }
  try {
    sent(await post("/ui/send", body));
  } catch (error) {
    const field = FIELDS.includes(error.field) ? error.field : "times";
    wrong(field, error.message);
    byId(field).closest("details")?.setAttribute("open", "");
    byId(field).focus();
  }
}

/** Tells at once that the payload is not JSON. The text itself is sent: numbers keep their digits. */
function checkPayload() {
  const text = byId("payload").value;
  try {
    JSON.parse(text);
    const long = new Blob([text]).size > MAX_PAYLOAD;
    wrong("payload", long ? "At most 2 MiB" : "");
    return !long;
  } catch (error) {
    wrong("payload", `Not JSON: ${error.message}`);
    return false;
  }
}

function wrong(field, text) {
  const input = byId(field);
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  say(byId(`${field}-error`), text);
}
