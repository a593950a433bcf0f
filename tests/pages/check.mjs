// Opens the pages that yolo9 writes in a browser, as a reader would: wide, narrow, dark, with hostile names, without a network.
// Usage: node check.mjs YOLO9 [FOLDER FOR PAGES AND SCREENSHOTS]; needs chromium, and playwright-core and axe-core in NODE_MODULES.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(resolve(process.env.NODE_MODULES ?? "node_modules", "x"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const yolo9 = resolve(process.argv[2]);
const folder = process.argv[3] ? resolve(process.argv[3]) : mkdtempSync(join(tmpdir(), "pages-"));
mkdirSync(folder, { recursive: true });
const parcels = fileURLToPath(new URL("../../models/parcels", import.meta.url));
const EVIL = "<img src=x onerror=alert(1)>";
const problems = [];
const check = (right, what) => { if (!right) problems.push(what); };

function run(...args) {
  try {
    execFileSync(yolo9, ["-q", ...args], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    // 2: some images failed, which is what one of them is for.
    if (error.status !== 2) throw error;
  }
}

// A dataset whose names try to be markup, and an image that is none.
mkdirSync(join(folder, "data"), { recursive: true });
cpSync(parcels, join(folder, "data"), { recursive: true });
const yaml = join(folder, "data/data.yaml");
writeFileSync(yaml, readFileSync(yaml, "utf8").replace("qr", `"${EVIL}"`));
const evil = readFileSync(yaml, "utf8");
check(evil.includes(EVIL), "the dataset has no hostile class name");
const images = join(folder, "photos");
mkdirSync(images, { recursive: true });
const photos = readdirSync(join(folder, "data/images")).filter(name => /jpg|png/.test(name)).slice(0, 4);
photos.forEach((name, n) => cpSync(join(folder, "data/images", name), join(images, n ? name : `${EVIL}.jpg`)));
writeFileSync(join(images, "broken.jpg"), "no image");

run("detect", "photos", "--names", "data/data.yaml", "--html", "--out", "gallery", "--exist-ok");
run("val", "--data", "data/data.yaml", "--names", "data/data.yaml", "--out", "val", "--exist-ok");
run("compare", "codes-nearest,names=data/data.yaml", "codes-dysample,names=data/data.yaml", "--data", "data/data.yaml", "--runs", "3",
  "--out", "compare", "--exist-ok");
const pages = { gallery: "gallery/gallery.html", val: "val/report.html", compare: "compare/report.html" };
for (const extra of process.argv.slice(4)) pages[extra.replace(/\W+/g, "-")] = resolve(extra);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function opened(name, file, width, scheme) {
  const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: scheme });
  const page = await context.newPage();
  const said = text => problems.push(`${name} at ${width} px, ${scheme}: ${text}`);
  page.on("pageerror", error => said(`script: ${error.message}`));
  page.on("console", message => message.type() === "error" && said(`console: ${message.text()}`));
  page.on("dialog", dialog => { said(`a name ran as script: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", request => /^(file|data|blob):/.test(request.url()) || said(`asks the network for ${request.url()}`));
  await page.goto(`file://${resolve(folder, file)}`);
  await page.waitForTimeout(200);
  return { page, said, close: () => context.close() };
}

async function accessible({ page, said }) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  for (const { id, impact, help, nodes } of violations)
    if (["serious", "critical"].includes(impact)) said(`axe: ${id} (${impact}): ${help}: ${nodes[0].html.slice(0, 160)}`);
}

for (const [name, file] of Object.entries(pages)) {
  for (const [width, scheme] of [[1280, "light"], [768, "light"], [375, "light"], [1280, "dark"], [375, "dark"]]) {
    const view = await opened(name, file, width, scheme);
    await accessible(view);
    const wide = await view.page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > width) view.said(`is ${wide} px wide`);
    const text = await view.page.evaluate(() => document.body.innerText);
    if (["gallery", "val", "compare"].includes(name) && !text.includes(EVIL)) view.said("does not show the hostile name as text");
    await view.page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
    await view.close();
  }
}

// The gallery is used.
{
  const view = await opened("gallery", pages.gallery, 1280, "light");
  const { page, said } = view;
  const right = (is, what) => is || said(what);
  const objects = async () => Number((await page.textContent("#shown")).match(/([\d,]+) objects?/)[1].replace(",", ""));
  const all = await objects();
  right((await page.textContent("#about")).includes("1 input could not be processed"), "does not tell of the broken image");
  right((await page.textContent("#about")).includes("confidence threshold 0.25"), "does not tell the threshold");
  right(all > 20, `shows ${all} objects`);
  await page.click("text=None");
  right(await objects() === 0, "None leaves objects");
  await page.click("text=All");
  right(await objects() === all, "All does not show everything");
  await page.fill("#least", "0.9");
  const most = await objects();
  right(most > 0 && most < all, `from confidence 0.9 there are ${most} of ${all}`);
  await page.selectOption("#order", "most");
  await page.focus("figure button");
  await page.keyboard.press("Enter");
  const shown = await page.locator("dialog rect").count();
  const listed = await page.locator("dialog tr").count();
  right(shown > 0 && shown === listed, `the enlarged image has ${shown} boxes, the list ${listed}`);
  const loaded = await page.evaluate(() => document.querySelector("dialog img").naturalWidth);
  right(loaded >= 640, `the enlarged image is ${loaded} px wide`);
  await accessible(view);
  await page.screenshot({ path: join(folder, "gallery-enlarged.png") });
  const title = await page.textContent("#largeTitle");
  await page.keyboard.press("ArrowRight");
  right(await page.textContent("#largeTitle") !== title, "the right arrow does not go on");
  await page.keyboard.press("Escape");
  right(!await page.evaluate(() => document.querySelector("dialog").open), "Escape does not close");
  for (const order of ["name", "fewest", "best", "worst", "input"]) await page.selectOption("#order", order);
  await page.fill("#name", "no such image");
  right((await page.textContent("#shown")).includes("0 images"), "the search finds what is not there");
  await view.close();
}

// The report tells values under the pointer.
{
  const view = await opened("val", pages.val, 1280, "light");
  const plot = view.page.locator("svg[data-plot]").first();
  await plot.scrollIntoViewIfNeeded();
  const box = await plot.boundingBox();
  await view.page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.4);
  const tip = await view.page.textContent(".tip").catch(() => "");
  if (!/all classes \d\.\d+/.test(tip)) view.said(`the pointer shows \`${tip}\``);
  await view.close();
}

await browser.close();
problems.forEach(problem => console.error(problem));
console.log(`${Object.keys(pages).length} pages in 5 views: ${problems.length ? `${problems.length} problems` : "no problem"}; screenshots in ${folder}`);
process.exit(problems.length ? 1 : 0);
