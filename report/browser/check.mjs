// Looks at reports in headless Chromium: node check.mjs CHROMIUM REPORTS GOLDEN OUT
//
// REPORTS has NAME.html and NAME.json. Writes screenshots to OUT and compares those that GOLDEN has. Prints what is wrong,
// and exits with 1 if anything is. Prints "looked at N pages" otherwise, so that nobody takes nothing for success.
import { createRequire } from "node:module";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";
import puppeteer from "puppeteer-core";

const [chromium, reports, golden, out] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = [360, 1280];
const SCHEMES = ["light", "dark"];
// Fonts of other versions are drawn a little differently; a mistake changes more than this share of the pixels.
const TOLERATED_SHARE = 0.02;
// Golden files show this much of a page, in pixels.
const HEIGHT = 2400;
// In pixels: where the answers must end, and where the folds must begin on a small screen.
const FIRST_SCREEN = 900;
const BEFORE_FOLDS = 6000;
// A4 without its margins of 15 mm, in pixels.
const PAPER = { width: 680, height: 1009 };
const FONTS = `* { font-family: "DejaVu Sans" !important } code, pre, code * { font-family: "DejaVu Sans Mono" !important }`;

const problems = [];
const wrong = (page, what) => problems.push(`${page}: ${what}`);

/** The value at a JSON pointer. */
function at(data, pointer) {
  const keys = pointer.split("/").slice(1);
  return keys.reduce((value, key) => value?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], data);
}

/** Every number under a value that a report must show. */
function figures(report) {
  const achieved = report.account?.header.closing?.achieved ?? {};
  const measured = Object.entries(achieved).filter(([, value]) => typeof value === "number");
  const path = report.critical_path ? ["total_seconds", "aws_seconds", "people_seconds", "ours_at_most_seconds"] : [];
  return [
    ...(report.critical_path && report.shows_achieved
      ? measured.map(([name]) => `/account/header/closing/achieved/${name}`)
      : []),
    ...path.map((name) => `/critical_path/waiting/${name}`),
    ...(typeof report.state?.without_service_seconds === "number" ? ["/state/without_service_seconds"] : []),
  ];
}

/** Whether the page says it has measured: not while a recovery runs, nor where nothing came of it. */
function showsAchieved(report) {
  const header = report.account?.header;
  const outcome = header?.closing?.execution === header?.execution ? header?.closing?.outcome : undefined;
  return outcome !== undefined && !["refused", "declined", "expired"].includes(outcome);
}

async function checkFigures(page, name, report) {
  report.shows_achieved = showsAchieved(report);
  const shown = await page.$$eval("data[data-figure]", (all) =>
    all.map((element) => ({ pointer: element.dataset.figure, value: Number(element.value), said: element.textContent })),
  );
  for (const { pointer, value, said } of shown) {
    const recorded = at(report, pointer);
    if (recorded !== value) wrong(name, `${pointer} is shown as ${value} (${said}) and recorded as ${recorded}`);
    if (!said.trim()) wrong(name, `${pointer} is shown as nothing`);
  }
  for (const pointer of figures(report)) {
    if (!shown.some((figure) => figure.pointer === pointer)) wrong(name, `${pointer} is recorded and not shown`);
  }
  const times = await page.$$eval("time", (all) => all.map((element) => [element.dateTime, element.textContent]));
  const text = JSON.stringify(report);
  for (const [time, said] of times) {
    if (!new Date(time).toISOString().includes(said.split(" ").at(-1))) wrong(name, `${time} is shown as ${said}`);
    if (!text.includes(time.replace(/0*Z$/, "").replace(/\.$/, ""))) wrong(name, `${time} is shown and not recorded`);
  }
}

async function checkPage(browser, name, report, width, scheme) {
  const label = `${name} at ${width} px, ${scheme}`;
  const page = await browser.newPage();
  const file = pathToFileURL(join(reports, `${name}.html`)).href;
  page.on("console", (message) => wrong(label, `console: ${message.text()}`));
  page.on("pageerror", (error) => wrong(label, `error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== file) wrong(label, `asks for ${request.url()}`);
  });
  await page.setViewport({ width, height: 800 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(file);
  const overflow = await page.evaluate(() => {
    const limit = document.documentElement.clientWidth;
    const boxes = [...document.querySelectorAll("body *:not(thead, thead *)")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.right > limit + 0.5 && box.width > 0;
    });
    return [document.documentElement.scrollWidth > limit, ...boxes.slice(0, 3).map((box) => box.outerHTML.slice(0, 120))];
  });
  if (overflow[0] || overflow.length > 1) wrong(label, `is wider than the screen: ${overflow.slice(1).join(" ")}`);
  if (width === WIDTHS[0] && scheme === "light") await checkFigures(page, name, report);
  await checkFirstScreen(page, label, width);
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run());
  for (const violation of violations) {
    const where = violation.nodes.map((node) => node.target.join(" ")).slice(0, 3);
    wrong(label, `axe: ${violation.id}: ${violation.help}: ${where.join(", ")}`);
  }
  if (!passes.some((rule) => rule.id === "color-contrast")) wrong(label, "axe did not look at the contrast");
  await page.addStyleTag({ content: FONTS });
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const picture = join(out, `${name}-${width}-${scheme}.png`);
  await page.screenshot({ path: picture, clip: { x: 0, y: 0, width, height: Math.min(height, HEIGHT) } });
  compare(label, picture, join(golden, `${name}-${width}-${scheme}.png`));
  await page.close();
}

/** The four answers are on the first screen, and what is not folded is not long. */
async function checkFirstScreen(page, label, width) {
  const [answers, end, open] = await page.evaluate(() => {
    const bottom = (element) => (element ? element.getBoundingClientRect().bottom + window.scrollY : Infinity);
    const fold = document.querySelector("main > section:has(> details)");
    const answers = [...document.querySelectorAll(".answers > div")];
    return [answers.length, bottom(answers.at(-1)), fold ? fold.getBoundingClientRect().top + window.scrollY : Infinity];
  });
  if (answers !== 4) wrong(label, `has ${answers} answers`);
  if (end > FIRST_SCREEN) wrong(label, `its answers end at ${end} px`);
  if (width === WIDTHS[0] && open > BEFORE_FOLDS) wrong(label, `its folds begin at ${open} px`);
}

function compare(label, taken, kept) {
  if (!existsSync(kept)) return;
  const [a, b] = [taken, kept].map((file) => PNG.sync.read(readFileSync(file)));
  if (a.width !== b.width || Math.abs(a.height - b.height) > 40) {
    wrong(label, `is ${a.width} x ${a.height}, and ${b.width} x ${b.height} in ${kept}`);
    return;
  }
  const height = Math.min(a.height, b.height);
  const difference = new PNG({ width: a.width, height });
  const top = (png) => png.data.subarray(0, png.width * height * 4);
  const pixels = pixelmatch(top(a), top(b), difference.data, a.width, height, { threshold: 0.2 });
  const share = pixels / (a.width * height);
  if (share > TOLERATED_SHARE) {
    const file = taken.replace(".png", "-difference.png");
    writeFileSync(file, PNG.sync.write(difference));
    wrong(label, `${(share * 100).toFixed(1)} % of it differ from ${kept}; see ${file}`);
  }
}

async function checkPrint(browser, name) {
  const page = await browser.newPage();
  await page.goto(pathToFileURL(join(reports, `${name}.html`)).href);
  const pdf = Buffer.from(await page.pdf({ format: "A4", margin: { top: "15mm", bottom: "15mm", left: "15mm", right: "15mm" } }));
  writeFileSync(join(out, `${name}.pdf`), pdf);
  const pages = pdf.toString("latin1").match(/\/Type\s*\/Page\b/g)?.length ?? 0;
  if (pages < 1 || pdf.length < 20_000) wrong(name, `is ${pages} pages and ${pdf.length} bytes on paper`);
  await page.setViewport(PAPER);
  await page.emulateMediaType("print");
  const summary = await page.$eval("header", (header) => header.getBoundingClientRect().bottom);
  if (summary > PAPER.height) wrong(name, `its summary takes ${summary} px of ${PAPER.height} px of paper`);
  const shut = await page.$$eval("details", (all) =>
    all.filter((details) => {
      const inner = [...details.children].filter((child) => child.tagName !== "SUMMARY");
      return inner.length > 0 && inner.every((child) => child.getBoundingClientRect().height === 0);
    }).length,
  );
  if (shut > 0) wrong(name, `${shut} folds are shut on paper`);
  const hidden = await page.$$eval("main section", (all) => all.filter((section) => section.offsetHeight === 0).length);
  if (hidden > 0) wrong(name, `${hidden} sections are not on paper`);
  await page.close();
}

const names = readdirSync(reports).filter((file) => file.endsWith(".html")).map((file) => file.replace(".html", ""));
const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
for (const name of names) {
  const report = JSON.parse(readFileSync(join(reports, `${name}.json`), "utf8"));
  for (const width of WIDTHS) for (const scheme of SCHEMES) await checkPage(browser, name, report, width, scheme);
  await checkPrint(browser, name);
}
await browser.close();
for (const kept of existsSync(golden) ? readdirSync(golden) : []) {
  if (!existsSync(join(out, kept))) wrong(kept, "is a golden file of nothing");
}
for (const problem of problems) console.error(problem);
if (problems.length > 0 || names.length === 0) process.exit(1);
console.log(`looked at ${names.length} pages`);
