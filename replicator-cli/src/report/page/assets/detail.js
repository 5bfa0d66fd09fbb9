// The details of one entry.

/** Every field that the row does not show. Known fields come first and have a form of their own. */
function details(row) {
  const isShown = (key) =>
    key in FORMS || IN_ROW.includes(key) || (key === "state" && words(row.entry.state) === row.state);
  const rest = Object.keys(row.entry).filter((key) => !isShown(key));
  const items = [...Object.keys(FORMS), ...rest].flatMap((key) => detail(key, row.entry[key]));
  const blocks = [differenceTable(row.entry.differences), digestTable(row.digests)];
  return el("div", { class: "details" }, el("dl", {}, ...items), ...blocks);
}

const IN_ROW = [
  "name",
  "size",
  "result",
  "verdict",
  "action",
  "file",
  "store",
  "target",
  "differences",
  "digests",
];

const FORMS = {
  errors: (errors) => lines(errors, "error"),
  reason: (reason) => said(reason),
  details: (found) => lines(found, "error"),
  hint: (hint) => said(hint),
  id: (id) => said(id, { class: "id" }),
  target_id: (id) => said(id, { class: "id" }),
  fields: (fields) => said(fields.join(", ")),
  started: when,
  ended: when,
  bytes_read: bytes,
  bytes_sent: bytes,
  attempts: (attempts) => NUMBER.format(attempts),
  retries: (retries) => lines(retries.map((retry) => `${when(retry.at)}, ${retry.side}: ${retry.reason}`)),
  stalls: (stalls) =>
    lines(stalls.map((stall) => `${when(stall.at)}, ${stall.side}: silent for ${duration(stall.seconds)}`)),
  proof: (proof) => said(proofOf({ proof })),
  request_ids: (ids) => lines(ids, "id"),
  losses: (losses) =>
    lines(
      losses.map((loss) => loss.detail ?? JSON.stringify(loss)),
      "lost",
    ),
  notes: (notes) => lines(notes),
};

function detail(key, value) {
  if (isEmpty(value)) return [];
  const form = FORMS[key] ?? ((other) => fieldValue(key, other));
  return [el("dt", {}, capitalized(words(key))), el("dd", {}, form(value))];
}

function isEmpty(value) {
  return !hasValue(value) || (Array.isArray(value) && value.length === 0);
}

function lines(texts, kind) {
  return el("ul", { class: kind }, ...texts.map((text) => el("li", {}, said(text))));
}

/** The digests of every side, one line for each algorithm and side. */
function digestTable(digests) {
  if (isEmpty(digests)) return null;
  const sides = [
    ["source", "source"],
    ["on the way", "in_transit"],
    ["target", "target"],
  ];
  const rows = digests.flatMap((digest) => sides.map(([title, key]) => digestRow(digest, title, key)));
  const head = ["Algorithm", "Where", "Digest"].map((title) => el("th", { scope: "col" }, title));
  return scrolling(
    "Digests",
    el(
      "table",
      { class: "digests" },
      el("caption", {}, "Digests"),
      el("thead", {}, el("tr", {}, ...head)),
      el("tbody", {}, ...rows),
    ),
  );
}

function digestRow(digest, title, key) {
  const value = digest[key];
  const differs = agreement(digest)[key] === false;
  const text = isPresent(value) ? said(value, { class: "id" }) : el("span", { class: "muted" }, "not known");
  const mark = isPresent(value)
    ? el("span", { class: differs ? "mark bad" : "mark good" }, differs ? "✗ differs " : "✓ ")
    : null;
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, said(digest.algorithm)),
    el("td", {}, title),
    el("td", {}, mark, text),
  );
}

/** The fields that differ, with the source and the target side by side. */
function differenceTable(differences) {
  if (isEmpty(differences)) return null;
  const head = ["Field", "Source", "Target"].map((title) => el("th", { scope: "col" }, title));
  const rows = differences.map((difference) => {
    const [source, target] = sides(asText(difference.source), asText(difference.target));
    return el("tr", {}, el("th", { scope: "row" }, said(difference.field)), source, target);
  });
  return scrolling(
    "Differences",
    el(
      "table",
      { class: "differences" },
      el("caption", {}, "Differences"),
      el("thead", {}, el("tr", {}, ...head)),
      el("tbody", {}, ...rows),
    ),
  );
}

function asText(value) {
  if (!isPresent(value)) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Two cells, in which the part that differs is marked. */
function sides(source, target) {
  if (source === null || target === null) return [whole(source), whole(target)];
  const start = wholeWords(source, commonStart(source, target));
  const [rest, otherRest] = [source, target].map((text) => reversed(text.slice(start)));
  const end = wholeWords(rest, commonStart(rest, otherRest));
  return [source, target].map((text) => marked(text, start, text.length - end));
}

function whole(text) {
  return el("td", {}, text === null ? el("span", { class: "muted" }, "not set") : el("mark", {}, said(text)));
}

function marked(text, from, to) {
  const part = to > from ? el("mark", {}, visible(text.slice(from, to))) : null;
  return el("td", {}, el("bdi", {}, visible(text.slice(0, from)), part, visible(text.slice(to))));
}

/** The length up to the last space, so that a mark contains whole words. */
function wholeWords(text, length) {
  return length === 0 || length === text.length ? length : text.lastIndexOf(" ", length - 1) + 1;
}

function commonStart(a, b) {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

function reversed(text) {
  return text.split("").reverse().join("");
}
