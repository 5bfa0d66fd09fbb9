// The rows of a list: what the entries of every command have in common.

const MEANINGS = {
  good: ["ok", "copied", "updated", "in place", "same", "verified", "made", "changed"],
  bad: ["failed", "blocked", "content", "bad", "broken off", "damaged", "fail", "error"],
  plain: ["skipped", "removed", "no data", "not chosen", "unknown"],
};
/** States of images that nothing was done with. They follow the others of their tone. */
const UNCHANGED = ["in place", "same", "skipped"];
const RANKS = ["bad", "warn", "good", "plain"];

function toneOf(word) {
  return Object.keys(MEANINGS).find((tone) => MEANINGS[tone].includes(word?.toLowerCase())) ?? "warn";
}

/** One entry of a list. `title` names the kind of its state. */
function rowOf(entry, index) {
  const word = entry.result ?? entry.verdict ?? entry.state;
  const state = isPresent(word) ? words(word) : null;
  const seconds = elapsed(entry);
  return {
    entry,
    index,
    seconds,
    state,
    tone: state === null ? "plain" : toneOf(state),
    name: nameOf(entry),
    size: entry.size ?? entry.image?.size ?? null,
    rate: entry.bytes_read > 0 && seconds > 0 ? entry.bytes_read / seconds : null,
    targetId: entry.target_id ?? entry.replica?.id ?? null,
    digests: entry.digests ?? [],
  };
}

/** The name, or what stands for it if the name is absent or blank. */
function nameOf({ name, file, store, command, id }) {
  return (
    [name, file, store, command, id].find((text) => isPresent(text) && String(text).trim() !== "") ??
    "(no name)"
  );
}

function elapsed({ started, ended }) {
  const seconds = (Date.parse(ended) - Date.parse(started)) / 1000;
  return seconds >= 0 ? seconds : null;
}

/** The text that the filter searches. */
function searched(row) {
  row.text ??= [
    row.name,
    row.entry.id,
    row.targetId,
    row.entry.target,
    row.state,
    row.entry.reason,
    row.entry.errors,
    row.entry.details,
  ]
    .flat()
    .filter(isPresent)
    .join("\n")
    .toLowerCase();
  return row.text;
}

/** How the digests of one algorithm agree: for each side true, false, or null if it has none. */
function agreement(digest) {
  const known = digest.in_transit ?? digest.source ?? digest.target;
  const side = (value) => (isPresent(value) ? value === known : null);
  return { source: side(digest.source), target: side(digest.target) };
}

/** The columns of a list. A column without any value is left out. */
function columnsOf(rows) {
  const first = rows[0]?.entry ?? {};
  const state = "result" in first ? "Result" : "verdict" in first ? "Verdict" : "State";
  const targets = new Set(rows.map((row) => row.entry.target));
  const columns = [
    { key: "name", title: "Name", value: (row) => row.name },
    { key: "target", title: "Target", value: (row) => (targets.size > 1 ? row.entry.target : null) },
    { key: "state", title: state, value: (row) => row.state, cell: stateCell, compare: bySeverity },
    { key: "action", title: "Action", value: (row) => row.entry.action },
    { key: "size", title: "Size", value: (row) => row.size, cell: (row) => bytes(row.size), numeric: true },
    {
      key: "seconds",
      title: "Time",
      value: (row) => row.seconds,
      cell: (row) => duration(row.seconds),
      numeric: true,
    },
    { key: "rate", title: "Rate", value: (row) => row.rate, cell: (row) => rate(row.rate), numeric: true },
    { key: "differences", title: "Differences", value: differingFields },
    { key: "proof", title: "Proven", value: (row) => (row.digests.length > 0 ? null : proofOf(row.entry)) },
    { key: "digests", title: "Digests", value: digestText, cell: digestMarks },
    { key: "target-id", title: "Target id", value: (row) => row.targetId, cell: targetId },
    ...otherColumns(first),
  ];
  return columns.filter((column) => rows.some((row) => hasValue(column.value(row))));
}

/** The state, and in short why. */
function stateCell(row) {
  const why = row.entry.reason ?? row.entry.errors?.[0] ?? row.entry.details?.[0];
  return [badge(row.state, row.tone), hasValue(why) ? el("div", { class: "why" }, said(why)) : ""];
}

function hasValue(value) {
  return isPresent(value) && value !== "";
}

function bySeverity(a, b) {
  return severity(a) - severity(b) || COLLATOR.compare(a.state ?? "", b.state ?? "");
}

/** Failures come first, then what was changed, then what was left as it was. */
function severity(row) {
  const state = row.state?.toLowerCase();
  if (UNCHANGED.includes(state)) return RANKS.length;
  return RANKS.indexOf(state === "removed" ? "good" : row.tone);
}

function differingFields(row) {
  const fields = (row.entry.differences ?? []).map((difference) => difference.field);
  return fields.length === 0 ? null : fields.join(", ");
}

function proofOf(entry) {
  const proof = entry.proof?.by
    ? [entry.proof.by, entry.proof.algorithm]
    : [entry.proof, entry.by && `by ${entry.by}`];
  return proof.filter(hasValue).map(words).join(", ") || null;
}

function digestText(row) {
  return row.digests.map((digest) => digest.algorithm).join(" ");
}

function digestMarks(row) {
  return row.digests.map((digest) => {
    const sides = Object.entries(agreement(digest)).map(([side, agrees]) => sideMark(side, agrees));
    return el("div", { class: "digest" }, said(digest.algorithm), ...sides);
  });
}

function sideMark(side, agrees) {
  if (agrees === null)
    return el("span", { class: "mark" }, `– ${side}`, el("span", { class: "hidden" }, " not known"));
  if (agrees) return el("span", { class: "mark good" }, `✓ ${side}`);
  return el("span", { class: "mark bad" }, `✗ ${side}`, el("span", { class: "hidden" }, " differs"));
}

function targetId(row) {
  return row.targetId === row.entry.id
    ? el("span", { class: "muted" }, "same id")
    : said(row.targetId, { class: "id" });
}

/** Columns for lists that no other column describes, such as those of `ls`. */
function otherColumns(entry) {
  if (["result", "verdict", "state"].some((key) => key in entry)) return [];
  const keys = Object.keys(entry).filter(
    (key) => !["id", "name", "size", "store", "target", "target_id", "file", "action"].includes(key),
  );
  const plain = keys.filter((key) => typeof entry[key] !== "object").slice(0, 6);
  return plain.map((key) => ({
    key,
    title: capitalized(words(key)),
    value: (row) => scalar(row.entry[key]),
    numeric: typeof entry[key] === "number",
  }));
}

function scalar(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? null : value;
}
