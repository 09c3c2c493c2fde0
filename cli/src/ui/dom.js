// Everything becomes text: nothing from outside is read as markup.

export const byId = (id) => document.getElementById(id);

/** A new element with these attributes, and texts or elements in it. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** As `element`, for the parts of a picture. */
export function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Sets the text, if it is another. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function toggle(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

export function milliseconds(time) {
  if (time === null || time === undefined) return "";
  if (time < 10_000) return `${time} ms`;
  return `${(time / 1000).toFixed(1)} s`;
}

export const number = (value) => value.toLocaleString("en");

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

/** The colour of a state. */
export function mood(state) {
  if (state === "delivered") return "good";
  if (state === "refused" || state === "not delivered") return "bad";
  return state === "stopped" ? "" : "busy";
}

/** Sends JSON; an error has the name of the field that is wrong. */
export async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (answer.ok) return text ? JSON.parse(text) : null;
  let wrong = { field: "", error: text };
  try {
    wrong = JSON.parse(text);
  } catch {
    // It is text.
  }
  throw Object.assign(new Error(wrong.error || `c1 answered ${answer.status}`), { field: wrong.field });
}
