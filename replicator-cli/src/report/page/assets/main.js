// Builds the page from the report, which is in the page as JSON.

function main() {
  const report = JSON.parse(document.getElementById("report").textContent);
  const lists = listsOf(report);
  const listings = lists.filter(({ entries }) => entries.length > 0).map((list) => new Listing(list));
  const images = listings.find((listing) => listing.key === "images");
  const timeline = images && timelineSection(report, images.rows, (row) => images.reveal(row));
  const totals = isEmpty(report.by_target)
    ? null
    : section("Totals of each target", "totals", anyValue(report.by_target));
  const parts = [
    totals,
    timeline,
    ...lists.map((list) => listings.find(({ key }) => key === list.key)?.section ?? emptyList(list)),
    certificateSection(report.certificates),
    ...otherSections(report),
  ];
  document.getElementById("content").append(...parts.filter(isPresent));
  prepareCopying();
  window.addEventListener("beforeprint", () => listings.forEach((listing) => listing.beforePrint()));
  window.addEventListener("afterprint", () => listings.forEach((listing) => listing.showPage()));
}

/** The lists of a report, and those of the runs that `resume` repeated. */
function listsOf(report, prefix = "", of = "") {
  const keys = Object.keys(report).filter((key) => !ENVELOPE.includes(key) && isList(report[key]));
  return keys.flatMap((key) => {
    if (key === "runs")
      return report.runs.flatMap((run, place) => listsOf(run, `run-${place + 1}-`, ` of ${nameOf(run)}`));
    const list = { key: `${prefix}${key}`, title: `${capitalized(words(key))}${of}`, entries: report[key] };
    return [{ ...list, note: noteOf(report, key) }];
  });
}

function emptyList({ key, title, note }) {
  return section(title, `list-${key}`, ...[note, el("p", { class: "muted" }, "None.")].filter(isPresent));
}

/** What a list leaves out: `compare` counts images that are the same without listing them. */
function noteOf(report, key) {
  const same = report.summary?.states?.same ?? 0;
  const isListed = key !== "images" || report.images.some((image) => image.state === "same");
  if (same === 0 || isListed) return null;
  return el(
    "p",
    { class: "note" },
    `${counted(same, "image")} with the same record and data on both sides ${same === 1 ? "is" : "are"} not listed.`,
  );
}

/** The buttons that copy a command. Without a clipboard, the text is selected for the reader. */
function prepareCopying() {
  for (const box of document.querySelectorAll(".command")) {
    const code = box.querySelector("code");
    const outcome = el("span", { role: "status", class: "muted" });
    const copied = () => {
      outcome.textContent = " Copied";
    };
    const selected = () => {
      getSelection().selectAllChildren(code);
      outcome.textContent = " Selected: copy it with the keyboard";
    };
    const copy = () =>
      navigator.clipboard
        ? navigator.clipboard.writeText(code.textContent).then(copied, selected)
        : selected();
    box.append(el("button", { type: "button", click: copy }, "Copy"), outcome);
  }
}

main();
