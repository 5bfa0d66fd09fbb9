// Values without a form of their own, and the certificates.

const ENVELOPE = [
  "schema_version",
  "command",
  "arguments",
  "tool",
  "global_request_id",
  "selection",
  "shard",
  "started",
  "ended",
  "seconds",
  "source",
  "targets",
  "certificates",
  "next_command",
  "throughput",
  "summary",
  "by_target",
  "errors",
  "exit_code",
  "exit_meaning",
];
const WARNING_DAYS = 30;

const STATE_KEYS = ["result", "verdict", "state", "status", "level", "severity"];

/** Any value: a table of objects, a list of values, or a list of fields. */
function anyValue(value) {
  if (!isPresent(value) || typeof value !== "object") return said(scalar(value) ?? "none");
  const entries = Object.entries(value);
  const isTable = entries.length > 0 && entries.every(([, item]) => isPlainObject(item));
  if (isTable && (Array.isArray(value) || entries.length > 1)) return tableOf(entries, Array.isArray(value));
  if (Array.isArray(value)) return el("ul", {}, ...value.map((item) => el("li", {}, anyValue(item))));
  return el(
    "dl",
    {},
    ...entries.flatMap(([key, item]) => [
      el("dt", {}, capitalized(words(key))),
      el("dd", {}, fieldValue(key, item)),
    ]),
  );
}

/** A value whose key says how to show it. */
function fieldValue(key, value) {
  if (key.includes("bytes") && typeof value === "number") return bytes(value);
  if (STATE_KEYS.includes(key) && typeof value === "string") return badge(words(value), toneOf(words(value)));
  return anyValue(value);
}

function isPlainObject(value) {
  return isPresent(value) && typeof value === "object" && !Array.isArray(value);
}

/** One line for each object, one column for each field that has a value. */
function tableOf(entries, isList) {
  const all = [...new Set(entries.flatMap(([, item]) => Object.keys(item)))];
  const fields = all.filter((field) =>
    entries.some(([, item]) => !isEmpty(item[field]) && item[field] !== 0),
  );
  const corner = isList ? [] : [el("td")];
  const head = fields.map((field) => el("th", { scope: "col" }, capitalized(words(field))));
  const rows = entries.map(([key, item]) =>
    el(
      "tr",
      {},
      ...(isList ? [] : [el("th", { scope: "row" }, said(key))]),
      ...fields.map((field) =>
        el("td", {}, isEmpty(item[field]) ? "" : fieldValue(field, withoutZeros(item[field]))),
      ),
    ),
  );
  return scrolling(
    "Table",
    el(
      "table",
      { class: "fields" },
      el("thead", {}, el("tr", {}, ...corner, ...head)),
      el("tbody", {}, ...rows),
    ),
  );
}

function withoutZeros(value) {
  return isPlainObject(value)
    ? Object.fromEntries(Object.entries(value).filter(([, item]) => item !== 0))
    : value;
}

/** A section for each field of the report that is neither a list nor part of every report. */
function otherSections(report) {
  const isOther = ([key, value]) => !ENVELOPE.includes(key) && !isList(value) && !isEmpty(value);
  return Object.entries(report)
    .filter(isOther)
    .map(([key, value]) => section(capitalized(words(key)), `field-${key}`, anyValue(value)));
}

/** Whether the value is a list of objects, which a table shows. An empty list of images is one. */
function isList(value) {
  return Array.isArray(value) && value.every(isPlainObject);
}

/** The certificates of the servers, those that expire first at the top. */
function certificateSection(certificates) {
  if (isEmpty(certificates)) return null;
  const head = ["Side", "Server", "Valid for", "Expires", "Subject", "Issuer"].map((title) =>
    el("th", { scope: "col" }, title),
  );
  const rows = [...certificates].sort((a, b) => a.days_left - b.days_left).map(certificateRow);
  const caption = el("caption", { class: "hidden" }, "The certificates that the servers showed");
  return section(
    "Certificates",
    "certificates",
    scrolling(
      "Certificates",
      el(
        "table",
        { class: "fields" },
        caption,
        el("thead", {}, el("tr", {}, ...head)),
        el("tbody", {}, ...rows),
      ),
    ),
  );
}

function certificateRow({ side, server, subject, issuer, expires, days_left: days }) {
  const left = days < 0 ? `expired ${counted(-days, "day")} ago` : counted(days, "day");
  const tone = days < 0 ? "bad" : days < WARNING_DAYS ? "warn" : "good";
  return el(
    "tr",
    {},
    el("td", {}, words(side ?? "")),
    el("th", { scope: "row" }, said(server ?? "")),
    el("td", {}, isPresent(days) ? badge(left, tone) : "not known"),
    el("td", {}, isPresent(expires) ? when(expires) : ""),
    el("td", {}, said(subject ?? "")),
    el("td", {}, said(issuer ?? "")),
  );
}
