// Elements. Text from the report only ever becomes text nodes, so that no name can act as HTML.

const CONTROL =
  "\\p{Cc}\\u00ad\\u034f\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb";
const UNSEEN = new RegExp(`[${CONTROL}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]`, "gu");

/** The text with an escape such as \u{202e} for each control character and invisible character. */
function visible(text) {
  return String(text).replace(UNSEEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** An element. Functions among the attributes are event listeners. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (isPresent(value) && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(isPresent));
  return node;
}

function isPresent(value) {
  return value !== null && value !== undefined;
}

/** Text from the report, with its own writing direction. */
function said(text, attributes = {}) {
  return el("bdi", attributes, visible(text));
}

/** A word with the colour and the sign of its meaning. */
function badge(word, tone) {
  return el(
    "span",
    { class: `badge ${tone}` },
    el("span", { "aria-hidden": "true" }, SIGNS[tone]),
    ` ${visible(word)}`,
  );
}

const SIGNS = { good: "✓", warn: "!", bad: "✗", plain: "·" };

/** A section with a heading. */
function section(title, id, ...children) {
  const heading = el("h2", { id: `${id}-title` }, title);
  return el("section", { id, "aria-labelledby": heading.id }, heading, ...children);
}

/** A table that scrolls sideways on a narrow screen. */
function scrolling(label, table) {
  return el("div", { class: "scroll", role: "group", "aria-label": label, tabindex: "0" }, table);
}
