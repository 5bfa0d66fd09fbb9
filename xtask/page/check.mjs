// Checks the HTML pages of a directory in a real Chromium: node check.mjs DIRECTORY CHROMIUM
// Screenshots and printed pages go to DIRECTORY/looks.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [directory, executablePath] = [resolve(process.argv[2]), process.argv[3]];
const looks = join(directory, "looks");
// The packages are below `target`, not next to this file.
const load = createRequire(join(directory, "package.json"));
const { chromium } = load("playwright-core");
const axe = readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const MOST_MILLISECONDS = 2000;
mkdirSync(looks, { recursive: true });
const browser = await chromium.launch({ executablePath, args: FLAGS });
const names = readdirSync(directory)
  .filter((name) => name.endsWith(".html"))
  .map((name) => name.slice(0, -5));
let [passed, failed] = [0, 0];

/** Opens a page. Anything that the browser complains of, and any request, fails the check. */
async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => complaints.push(dialog.message()));
  page.on("request", (request) => request.isNavigationRequest() || complaints.push(request.url()));
  await page.goto(pathToFileURL(join(directory, `${name}.html`)).href);
  return {
    page,
    close: async () => {
      await context.close();
      assert.deepEqual(complaints, [], name);
    },
  };
}

async function check(title, work) {
  try {
    await work();
    passed += 1;
    console.error(`page: ${title}`);
  } catch (error) {
    failed += 1;
    console.error(`page: FAILED: ${title}\n${error.stack}`);
  }
}

async function on(name, work, options) {
  const { page, close } = await open(name, options);
  await work(page);
  await close();
}

/** The numbers or texts of one column of the page of a list. */
function column(page, place) {
  return page.locator(`#list-images tbody > tr:not(.detail) > *:nth-child(${place})`).allInnerTexts();
}

async function placeOf(page, title) {
  const titles = await page.locator("#list-images thead th").allInnerTexts();
  return titles.findIndex((one) => one.startsWith(title)) + 1;
}

const count = (page) => page.locator("#list-images .count").innerText();
const report = (name) => JSON.parse(readFileSync(join(directory, `${name}.json`), "utf8"));

async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .slice(0, 3)
        .map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`)
        .join("; ")}`,
  );
}

async function look(page, name, fullPage = true) {
  await page.screenshot({ path: join(looks, `${name}.png`), fullPage });
}

await check("the run of 46 images shows every image, the failures first and the images left alone last", () =>
  on("run", async (page) => {
    assert.equal(await count(page), "46 images");
    assert.equal(await page.locator("#list-images tbody > tr").count(), 46);
    const results = await column(page, await placeOf(page, "Result"));
    assert.deepEqual(
      results.map((one) => one.includes("failed")),
      results.map((_, place) => place < 3),
    );
    const isLeftAlone = results.map((one) => /in place|skipped/.test(one));
    assert.ok(isLeftAlone.includes(true) && isLeftAlone.includes(false));
    assert.deepEqual(isLeftAlone, [...isLeftAlone].sort());
    assert.equal(await page.locator("#list-images thead [aria-sort]").innerText(), "Result");
  }),
);

await check("hostile names are text", () =>
  on("run", async (page) => {
    assert.equal(await page.evaluate(() => globalThis.attacked), undefined);
    assert.equal(await page.locator("img").count(), 0);
    const shown = (await page.locator("#list-images .open").allInnerTexts()).join("\n");
    for (const name of [
      "</script><script>window.attacked = true</script>",
      '<img src=x onerror="window.attacked = true">',
      "invoice\\u{202e}gpj.exe",
      "line\\u{2028}separator\\u{2029} and \\u{1b}[31mred",
    ]) {
      assert.ok(shown.includes(name), name);
    }
  }),
);

await check("a click and the keyboard sort the table", () =>
  on("run", async (page) => {
    const place = await placeOf(page, "Size");
    const header = page.locator(`#list-images thead th:nth-child(${place})`);
    await header.locator("button").click();
    assert.equal(await header.getAttribute("aria-sort"), "ascending");
    const names = () => page.locator("#list-images .open").allInnerTexts();
    const ascending = await names();
    const bySize = [...report("run").images].sort((a, b) => a.size - b.size).map((image) => image.size);
    assert.equal((await column(page, place)).length, bySize.length);
    await page.keyboard.press("Enter");
    assert.equal(await header.getAttribute("aria-sort"), "descending");
    assert.deepEqual(await names(), ascending.reverse());
    const largest = report("run").images.find((image) => image.size === bySize.at(-1));
    assert.ok((await page.locator("#list-images tbody tr").first().innerText()).includes(largest.id));
  }),
);

await check("the filter finds names, ids and errors, and says how many", () =>
  on("run", async (page) => {
    const filter = page.getByLabel("Filter");
    await filter.fill("503 Service");
    assert.equal(await count(page), "1 of 46 images");
    await filter.fill(report("run").images[20].id.toUpperCase());
    assert.equal(await count(page), "1 of 46 images");
    await filter.fill("no such image");
    assert.equal(await page.locator("#list-images tbody").innerText(), "Nothing matches the filter.");
    await look(page, "run-nothing-found", false);
    await filter.fill("");
    assert.equal(await page.locator("#list-images .count").getAttribute("role"), "status");
    const failed = page.getByRole("button", { name: "failed 3" });
    await failed.click();
    assert.equal(await failed.getAttribute("aria-pressed"), "true");
    assert.equal(await count(page), "3 of 46 images");
    await page.getByRole("button", { name: "skipped 3" }).click();
    assert.equal(await count(page), "6 of 46 images");
  }),
);

await check("the keyboard opens and closes the details of an image", () =>
  on("run", async (page) => {
    const failed = report("run").images.find(
      (image) => image.result === "failed" && image.retries.length > 0,
    );
    const row = page.locator("#list-images tr", { hasText: failed.id });
    await row.locator(".open").focus();
    await page.keyboard.press("Enter");
    assert.equal(await row.locator(".open").getAttribute("aria-expanded"), "true");
    const detail = page.locator(`#${await row.locator(".open").getAttribute("aria-controls")}`);
    const text = await detail.innerText();
    for (const shown of [
      failed.errors[1],
      failed.hint,
      failed.request_ids[0],
      failed.digests[0].source,
      "503 Service Unavailable",
    ]) {
      assert.ok(text.includes(shown), shown);
    }
    await page.keyboard.press("Space");
    assert.equal(await detail.count(), 0);
  }),
);

await check("a click in the timeline opens the image", () =>
  on("run", async (page) => {
    const box = await page.locator("#timeline svg").first().boundingBox();
    const lanes = await page.locator("#timeline .bar.good").first().boundingBox();
    await page.mouse.click(box.x + box.width / 2, lanes.y + 4);
    assert.equal(await page.locator("#list-images [aria-expanded=true]").count(), 1);
    assert.match(await page.evaluate(() => document.activeElement.className), /open/);
  }),
);

await check("the next command is copied or selected", () =>
  on("run", async (page) => {
    assert.equal(
      await page.locator(".command code").innerText(),
      "glance-replicator verify east west --deep",
    );
    await page.getByRole("button", { name: "Copy" }).click();
    await page.locator(".command [role=status]", { hasText: /Copied|Selected/ }).waitFor();
  }),
);

await check("the verdict needs no JavaScript", () =>
  on(
    "run",
    async (page) => {
      const text = await page.locator("body").innerText();
      for (const shown of [
        "Integrity failure",
        "exit code 6",
        "east",
        "west",
        "3 failed",
        "32 copied",
        "glance-replicator verify east west --deep",
        "Without JavaScript",
      ]) {
        assert.ok(text.includes(shown), shown);
      }
      await look(page, "run-without-javascript", false);
    },
    { javaScriptEnabled: false },
  ),
);

await check("a comparison shows differences side by side", () =>
  on("compare", async (page) => {
    await page.getByRole("button", { name: /^metadata / }).click();
    await page.locator("#list-images .open").first().click();
    const cells = await page.locator(".differences tbody tr").first().locator("th, td").allInnerTexts();
    assert.deepEqual(cells, ["hw_disk_bus", "scsi", "virtio"]);
    const marks = await page.locator(".differences tbody tr").nth(1).locator("mark").allInnerTexts();
    assert.ok(marks[0].length < 60 && marks[0].includes("11-29"), marks[0]);
    await look(page, "compare-differences");
  }),
);

await check("10,000 images are opened, sorted, filtered and paged without a pause", () =>
  on("compare", async (page) => {
    assert.equal(await count(page), "10,000 images, 1 to 100 on this page");
    const timed = (selector, action) =>
      page.evaluate(
        ([selector, action]) => {
          const node = document.querySelector(selector);
          const begin = performance.now();
          if (action === "click") node.click();
          else {
            node.value = action;
            node.dispatchEvent(new Event("input"));
          }
          void document.body.offsetHeight;
          return performance.now() - begin;
        },
        [selector, action],
      );
    const times = {
      open: await page.evaluate(() => performance.getEntriesByType("navigation")[0].domComplete),
      sort: await timed("#list-images thead [data-key=name] button", "click"),
      filter: await timed("#list-images input", "debian"),
      unfilter: await timed("#list-images input", ""),
      next: await timed("#list-images .pager button:nth-of-type(3)", "click"),
    };
    console.error(
      `page: milliseconds: ${Object.entries(times)
        .map(([what, time]) => `${what} ${Math.round(time)}`)
        .join(", ")}`,
    );
    for (const [what, time] of Object.entries(times))
      assert.ok(time < MOST_MILLISECONDS, `${what}: ${time} ms`);
    assert.equal(await count(page), "10,000 images, 101 to 200 on this page");
  }),
);

await check("printing prints every row, and the page is as before afterwards", () =>
  on("compare", async (page) => {
    const file = join(looks, "compare.pdf");
    await page.pdf({ path: file, preferCSSPageSize: true });
    const text = execFileSync("pdftotext", ["-layout", file, "-"], { maxBuffer: 2 ** 28, encoding: "utf8" });
    const ids = new Set(text.match(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g));
    assert.ok(report("compare").images.every((image) => ids.has(image.id)));
    assert.ok(text.includes("10,000 of 10,000 images."));
    assert.equal(await page.locator("#list-images tbody > tr").count(), 100);
  }),
);

await check("a filtered list prints what the filter shows, with the details of failures", () =>
  on("run", async (page) => {
    await page.getByRole("button", { name: "failed 3" }).click();
    const file = join(looks, "run-failed.pdf");
    await page.pdf({ path: file, preferCSSPageSize: true });
    const text = execFileSync("pdftotext", ["-layout", file, "-"], { encoding: "utf8" });
    assert.ok(text.includes("3 of 46 images.") && text.includes("503 Service Unavailable"));
    const pages = text.split("\f").filter((one) => /^ *Name +Result +Size/m.test(one));
    assert.ok(pages.length > 1, "each page has the header of the table");
    assert.ok(text.includes("MiB/s"), "the timeline");
  }),
);

for (const colorScheme of ["light", "dark"]) {
  for (const name of names) {
    await check(`axe finds nothing in ${name}, ${colorScheme}`, () =>
      on(
        name,
        async (page) => {
          for (const button of (await page.locator(".open").all()).slice(0, 4)) await button.click();
          await look(page, `${name}-${colorScheme}`);
          assert.deepEqual(await violations(page), []);
        },
        { colorScheme },
      ),
    );
  }
}

for (const name of names) {
  await check(`${name} fits on a narrow screen`, () =>
    on(
      name,
      async (page) => {
        const [width, visible] = await page.evaluate(() => [
          document.documentElement.scrollWidth,
          document.documentElement.clientWidth,
        ]);
        assert.ok(width <= visible, `${width} > ${visible}`);
        await look(page, `${name}-narrow`, false);
        assert.deepEqual(await violations(page), []);
      },
      { viewport: { width: 390, height: 844 } },
    ),
  );
}

await check("the pages print", async () => {
  for (const name of names.filter((one) => one !== "compare")) {
    await on(name, (page) => page.pdf({ path: join(looks, `${name}.pdf`), preferCSSPageSize: true }), {
      colorScheme: "dark",
    });
  }
});

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
