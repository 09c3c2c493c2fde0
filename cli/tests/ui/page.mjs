// Uses the page of `c1 serve --ui` as a person would. `browser.rs` starts it, with the
// page's and a receiver's URL, and with Chromium.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { PAGE, RECEIVER, CHROMIUM, SCREENSHOTS } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MANY = 10_000;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 1000 }, reducedMotion: "reduce" });
context.setDefaultTimeout(60_000);
const page = await context.newPage();
const problems = [];
page.on("request", (request) => {
  if (!request.url().startsWith(`${PAGE}/`)) problems.push(`a request to ${request.url()}`);
});
page.on("pageerror", (error) => problems.push(error.stack));
page.on("console", (message) => {
  // The browser says so of every answer that is an error.
  const expected = message.text().startsWith("Failed to load resource") && message.location().url.endsWith("/ui/send");
  if (["error", "warning"].includes(message.type()) && !expected) problems.push(message.text());
});

const field = (label) => page.getByLabel(label, { exact: true });
const button = (name) => page.getByRole("button", { name });
const row = (id) => page.locator(`tr[data-id="${id}"]`);
const detail = page.locator("#detail");
const timeline = detail.locator("#timeline");
const step = (text) => console.log(`- ${text}`);

async function isAccessible(what) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 400]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 1000 });
      const { violations } = await page.evaluate(`(() => { ${axe}; })(); axe.run(document)`);
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
      assert.deepEqual(found, [], `${what}, ${colorScheme}, ${width} px`);
      const wide = await page.evaluate("document.documentElement.scrollWidth");
      assert.ok(wide <= width, `${what} fits ${width} px, not ${wide}`);
      if (SCREENSHOTS) {
        const path = `${SCREENSHOTS}/${what}-${colorScheme}-${width}.png`;
        await page.screenshot({ path, fullPage: width < 1000 });
      }
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 1000 });
}

async function send(id, state) {
  await button("Send").first().click();
  await row(id).getByText(state, { exact: true }).waitFor();
  await detail.getByText(`Delivery ${id}`, { exact: true }).waitFor();
}

step("the empty page");
await page.goto(`${PAGE}/`);
await page.getByText("example.conductor.one").waitFor();
await page.waitForFunction(() => document.getElementById("payload").value !== "");
await isAccessible("empty");

step("a payload that is not JSON");
const payload = field("Payload, as JSON");
await field("Receiver’s URL").fill(`${RECEIVER}/webhooks`);
await payload.fill('{"a": }');
assert.match(await page.locator("#payload-error").textContent(), /Not JSON/);
assert.equal(await payload.getAttribute("aria-invalid"), "true");
await button("Send").first().click();
assert.equal(await page.evaluate("document.activeElement.id"), "payload");
assert.equal(await page.locator("#rows tr").count(), 0);

step("an edited payload is delivered");
await field("Sample").selectOption("provision_step/grant.minimal");
await page.waitForFunction(() => document.getElementById("payload-error").textContent === "");
const edited = JSON.parse(await payload.inputValue());
edited["<img src=x onerror=alert(1)>"] = "shown as text";
await payload.fill(JSON.stringify(edited, null, 2));
await send(1, "delivered");
await timeline.getByText("POST, attempt 1").waitFor();
await timeline.getByText("200 OK").waitFor();
await timeline.getByText(/^Answer, \d+ bytes$/).click();
await timeline.locator("pre").getByText("<b>granted</b>").waitFor();

step("a duplicate");
await button("Repeat as a duplicate").click();
await row(2).getByText("delivered", { exact: true }).waitFor();
await row(2).getByText("again, of 1").waitFor();
await detail.getByText("delivery 1: the same webhook").waitFor();
const ids = await page.locator("#rows .id").allTextContents();
assert.equal(ids[0], ids[1]);

step("its payload in the form again");
await payload.fill("{}");
await button("Edit its payload").click();
await page.waitForFunction(() => document.getElementById("payload").value.includes("shown as text"));

step("a callback");
await field("Receiver’s URL").fill(`${RECEIVER}/later`);
await send(3, "delivered");
await timeline.getByText("202 Accepted").waitFor();
await timeline.getByText("callback refused: 400").waitFor();
await timeline.getByText("callback accepted: 200").waitFor();
await page.locator("#notices").getByText("keys fetched").first().waitFor();

step("a refusal");
await page.getByText("Public URL, retries, callback").click();
await field("Attempts, at most").fill("2");
await field("Pause between, in s").fill("0");
await field("Receiver’s URL").fill(`${RECEIVER}/webhooks`);
await field("Public URL, if it differs").fill("not a URL");
await button("Send").first().click();
await page.locator("#publicUrl-error").getByText("a URL such as").waitFor();
assert.equal(await page.evaluate("document.activeElement.id"), "publicUrl");
await field("Public URL, if it differs").fill("https://hooks.example.com");
await send(4, "refused");
const verdict = detail.locator("#verdict");
await verdict.getByText("invalid_token").waitFor();
await verdict.getByText("401 Unauthorized; the receiver's log says why").waitFor();
await verdict.getByText("for https://hooks.example.com/webhooks").waitFor();
await timeline.getByText("POST, attempt 2").waitFor();
await isAccessible("refused");

step("the keyboard");
await button("Close").click();
assert.equal(await detail.isVisible(), false);
await row(3).getByRole("button").focus();
await page.keyboard.press("Enter");
await detail.getByText("Delivery 3", { exact: true }).waitFor();
assert.equal(await page.evaluate("document.activeElement.id"), "detail");

step(`${MANY} deliveries`);
await field("Sample").selectOption("test/minimal");
await page.waitForFunction(() => document.getElementById("event").value.endsWith("PayloadTest"));
await field("Public URL, if it differs").fill("");
await field("How many to send").fill(String(MANY));
await button("Send this many").click();
const last = MANY + 4;
await row(last).waitFor();
const bounded = async () => {
  const rows = await page.locator("#rows tr").count();
  assert.ok(rows <= 100, `${rows} rows`);
  const nodes = await page.locator("*").count();
  assert.ok(nodes <= 4000, `${nodes} elements`);
};
await bounded();
await row(last - 50).getByRole("button").click();
await detail.getByText(`Delivery ${last - 50}`, { exact: true }).waitFor();
await button("Older").click();
await row(last - 150).waitFor();
await button(/^Not delivered/).click();
await row(4).waitFor();
await bounded();
await button(/^All/).click();
await page.locator('[data-filter="running"] b').getByText("0", { exact: true }).waitFor({ timeout: 300_000 });
const delivered = await page.locator('[data-filter="delivered"] b').textContent();
assert.equal(delivered, (MANY + 3).toLocaleString("en"));
await bounded();
assert.match(await page.locator("#progress").textContent(), /10,003 delivered, 1 not delivered, 0 in progress/);
await button("Older").click();
await row(last - 100).waitFor();
await row(last - 100).getByRole("button").click();
await timeline.getByText("200 OK").waitFor();
await isAccessible("many");

step("c1 stops, and comes back");
const expectedSoFar = problems.length;
await context.setOffline(true);
await button(/^All/).click();
const connection = page.locator("#connection");
await connection.getByText("c1 does not answer").waitFor();
await context.setOffline(false);
await page.waitForFunction(() => document.getElementById("connection").textContent === "");
problems.splice(expectedSoFar);

assert.deepEqual(problems, []);
await browser.close();
