// What takes a real browser: browser.mjs lighthouse|axe|visits; JSON on stdout.
// Runs in the container of the tools; the admin's password is in the environment.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

const PASSWORD = process.env.DJANGO_SUPERUSER_PASSWORD;

async function logIn(page, site) {
  await page.goto(`${site}/admin/login/?next=/admin/`);
  await page.type("#id_username", "audit");
  await page.type("#id_password", PASSWORD);
  await Promise.all([page.waitForNavigation({ waitUntil: "networkidle0" }), page.click("[type=submit]")]);
  if (new URL(page.url()).pathname !== "/admin/") throw new Error(`no login at ${page.url()}`);
}

// Lighthouse's scores of the landing page, and each of its audits that is not perfect, as {id: title}:
// but for times, which are another in each run and are judged by the score.
async function runLighthouse(browser) {
  const page = await browser.newPage();
  const { lhr } = await lighthouse("https://site.example/", { logLevel: "error" }, undefined, page);
  if (lhr.runtimeError) throw new Error(lhr.runtimeError.message);
  const scores = Object.values(lhr.categories).map(({ title, score }) => [title, Math.round(score * 100)]);
  const findings = {};
  for (const { auditRefs } of Object.values(lhr.categories)) {
    for (const { id, group } of auditRefs) {
      const { score, title } = lhr.audits[id];
      if (group !== "metrics" && group !== "hidden" && score !== null && score < 1) findings[id] = title;
    }
  }
  return { version: lhr.lighthouseVersion, scores: Object.fromEntries(scores), findings };
}

// What axe finds on each page, as {"rule on path": description}.
async function runAxe(browser) {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const page = await browser.newPage();
  await page.setBypassCSP(true); // for axe's own script
  const findings = {};
  const pages = [];
  let version;
  async function examine(path) {
    if (path) await page.goto(`https://site.example${path}`, { waitUntil: "networkidle0" });
    const at = new URL(page.url()).pathname;
    await page.evaluate(axe);
    const { violations, testEngine } = await page.evaluate(() => window.axe.run());
    version = testEngine.version;
    pages.push(at);
    for (const { id, help, nodes } of violations) {
      findings[`${id} on ${at}`] = `${help}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`;
    }
  }
  await examine("/");
  await examine("/nothing-here"); // Django's 404
  await examine("/static/nothing-here"); // nginx's
  await examine("/admin/login/");
  await logIn(page, "https://site.example");
  await examine("");
  await examine("/admin/welcome/upload/add/");
  return { version, pages, findings };
}

// Requests that reached a server, and the bytes that came back, headers included, for one visit.
async function visit(page, action) {
  const client = await page.createCDPSession();
  await client.send("Network.enable");
  const local = new Set();
  let requests = 0;
  let bytes = 0;
  client.on("Network.requestServedFromCache", ({ requestId }) => local.add(requestId));
  client.on("Network.responseReceived", ({ requestId, response }) => {
    if (response.fromDiskCache || response.url.startsWith("data:")) local.add(requestId);
  });
  client.on("Network.requestWillBeSent", ({ redirectResponse }) => {
    if (redirectResponse) {
      requests += 1;
      bytes += redirectResponse.encodedDataLength;
    }
  });
  client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (local.has(requestId)) return;
    requests += 1;
    bytes += encodedDataLength;
  });
  await action();
  await client.detach();
  await page.goto("about:blank");
  return { requests, bytes };
}

// First and second visits of some pages, of our nginx and of a plain one.
async function runVisits(browser) {
  const result = {};
  for (const site of ["http://plain.example", "http://site.example"]) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const open = (path) => visit(page, () => page.goto(site + path, { waitUntil: "networkidle0" }));
    result[site] = {
      "landing page, first visit": await open("/"),
      "landing page, second visit": await open("/"),
      "admin login, first visit": await open("/admin/login/"),
      "admin login, second visit": await open("/admin/login/"),
    };
    result[site]["log in, to the admin's first page"] = await visit(page, () => logIn(page, site));
    result[site]["admin, second visit"] = await open("/admin/");
    await context.close();
  }
  return { version: await browser.version(), result };
}

const run = { lighthouse: runLighthouse, axe: runAxe, visits: runVisits }[process.argv[2]];
const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  console.log(JSON.stringify(await run(browser)));
} finally {
  await browser.close();
}
