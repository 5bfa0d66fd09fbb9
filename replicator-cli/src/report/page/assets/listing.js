// A list of entries as a table that sorts, filters and shows its entries page by page.

const PAGE_SIZES = [50, 100, 500];
const MOST_OPENED = 4;
const MOST_PRINTED_DETAILS = 500;

/** A list with the state of its table: what is sorted, filtered, opened and on this page. */
class Listing {
  constructor({ key, title, entries, note }) {
    this.key = key;
    this.title = title;
    this.rows = entries.map(rowOf);
    this.columns = columnsOf(this.rows);
    this.sortedBy = this.columns.find((column) => column.key === "state") ?? null;
    this.isAscending = true;
    this.states = new Set();
    this.text = "";
    this.page = 0;
    this.pageSize = 100;
    // A short list without states, such as the stores of `doctor`, is of use only with its details.
    this.opened = new Set(this.sortedBy === null && this.rows.length <= MOST_OPENED ? this.rows : []);
    this.section = section(title, `list-${key}`, this.build(note));
    this.update();
  }

  build(note) {
    this.count = el("p", { role: "status", class: "count" });
    this.headers = this.columns.map((column) => this.header(column));
    this.body = el("tbody");
    this.pager = el("nav", { class: "pager", "aria-label": `Pages of ${this.title}` });
    const caption = el(
      "caption",
      { class: "hidden" },
      `${this.title}. The buttons in the header sort the table.`,
    );
    const table = el(
      "table",
      { class: "listing" },
      caption,
      el("thead", {}, el("tr", {}, ...this.headers)),
      this.body,
    );
    const tools = this.rows.length > MOST_OPENED ? this.tools() : null;
    return [note, tools, this.count, scrolling(this.title, table), this.pager].filter(isPresent);
  }

  tools() {
    const input = el("input", {
      type: "search",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "Name, id, reason or error",
      input: () => this.search(input.value),
    });
    return el("div", { class: "tools" }, el("label", {}, "Filter ", input), this.stateButtons());
  }

  /** A button for each state. None pressed means all states. */
  stateButtons() {
    const counts = new Map();
    for (const row of [...this.rows].sort(bySeverity))
      counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
    if (counts.size < 2) return null;
    const buttons = [...counts].map(([state, count]) => this.stateButton(state, count));
    return el("div", { class: "states", role: "group", "aria-label": "Show only" }, ...buttons);
  }

  stateButton(state, count) {
    const pressed = (event) => {
      const isOn = this.states.delete(state) ? false : Boolean(this.states.add(state));
      event.currentTarget.setAttribute("aria-pressed", String(isOn));
      this.page = 0;
      this.update();
    };
    const label = `${state ?? "other"} ${NUMBER.format(count)}`;
    return el(
      "button",
      {
        type: "button",
        class: state === null ? "plain" : toneOf(state),
        "aria-pressed": "false",
        click: pressed,
      },
      label,
    );
  }

  header(column) {
    const button = el("button", { type: "button", click: () => this.sortBy(column) }, column.title);
    return el(
      "th",
      { scope: "col", class: column.numeric ? "numeric" : null, "data-key": column.key },
      button,
    );
  }

  search(text) {
    this.text = text.trim().toLowerCase();
    this.page = 0;
    this.update();
  }

  sortBy(column) {
    this.isAscending = this.sortedBy === column ? !this.isAscending : true;
    this.sortedBy = column;
    this.page = 0;
    this.update();
  }

  /** Filters and sorts anew, and shows the page. */
  update() {
    const isShown = (row) =>
      (this.states.size === 0 || this.states.has(row.state)) &&
      (this.text === "" || searched(row).includes(this.text));
    this.shown = this.rows.filter(isShown);
    if (this.sortedBy) this.shown.sort((a, b) => this.order(a, b) || a.index - b.index);
    this.headers.forEach((header, place) => this.markSorted(header, this.columns[place]));
    this.showPage();
  }

  /** Entries without a value come last in both directions. */
  order(a, b) {
    const [left, right] = [this.sortedBy.value(a), this.sortedBy.value(b)];
    if (!hasValue(left) || !hasValue(right)) return Number(!hasValue(left)) - Number(!hasValue(right));
    const compared =
      this.sortedBy.compare?.(a, b) ??
      (typeof left === "number" ? left - right : COLLATOR.compare(left, right));
    return this.isAscending ? compared : -compared;
  }

  markSorted(header, column) {
    if (column !== this.sortedBy) header.removeAttribute("aria-sort");
    else header.setAttribute("aria-sort", this.isAscending ? "ascending" : "descending");
  }

  showPage() {
    const from = this.page * this.pageSize;
    this.fillBody(this.shown.slice(from, from + this.pageSize), this.opened);
    this.showCount(from);
    this.pager.replaceChildren(...this.pagerParts());
  }

  fillBody(rows, opened) {
    const none = el(
      "tr",
      {},
      el("td", { colspan: this.columns.length, class: "none" }, "Nothing matches the filter."),
    );
    const parts = rows.flatMap((row) =>
      opened.has(row) ? [this.row(row), this.detailRow(row)] : [this.row(row)],
    );
    this.body.replaceChildren(...(parts.length > 0 ? parts : [none]));
  }

  showCount(from) {
    const [shown, all] = [this.shown.length, this.rows.length];
    const part =
      shown === all
        ? counted(all, ...this.names())
        : `${NUMBER.format(shown)} of ${counted(all, ...this.names())}`;
    const last = Math.min(from + this.pageSize, shown);
    const range =
      shown > this.pageSize ? `, ${NUMBER.format(from + 1)} to ${NUMBER.format(last)} on this page` : "";
    this.count.textContent = `${part}${range}`;
  }

  /** The name of one entry and of several. */
  names() {
    const several = words(this.key.split("-").at(-1));
    return [several.replace(/s$/, ""), several];
  }

  row(row) {
    const cells = this.columns.map((column) =>
      column.key === "name" ? this.nameCell(row) : cellOf(column, row),
    );
    return el("tr", { class: row.tone, "data-row": row.index }, ...cells);
  }

  nameCell(row) {
    const isOpen = this.opened.has(row);
    const id =
      row.entry.id && row.entry.id !== row.name
        ? el("div", { class: "id muted" }, visible(row.entry.id))
        : null;
    const button = el(
      "button",
      {
        type: "button",
        class: "open",
        "aria-expanded": String(isOpen),
        "aria-controls": this.detailId(row),
        click: () => this.toggle(row),
      },
      said(row.name),
    );
    return el("th", { scope: "row" }, button, id);
  }

  detailId(row) {
    return `detail-${this.key}-${row.index}`;
  }

  detailRow(row) {
    const cell = el("td", { colspan: this.columns.length }, details(row));
    return el("tr", { id: this.detailId(row), class: "detail" }, cell);
  }

  toggle(row) {
    const line = this.body.querySelector(`[data-row="${row.index}"]`);
    const isOpen = this.opened.delete(row) ? false : Boolean(this.opened.add(row));
    line.querySelector(".open").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) line.after(this.detailRow(row));
    else line.nextSibling.remove();
  }

  /** Opens the details of a row wherever it is, and moves the focus there. */
  reveal(row) {
    let place = this.shown.indexOf(row);
    if (place < 0) {
      this.clearFilter();
      place = this.shown.indexOf(row);
    }
    this.page = Math.floor(place / this.pageSize);
    this.opened.add(row);
    this.showPage();
    this.body.querySelector(`[data-row="${row.index}"] .open`).focus();
  }

  clearFilter() {
    this.states.clear();
    this.text = "";
    this.section.querySelectorAll("input").forEach((input) => {
      input.value = "";
    });
    this.section
      .querySelectorAll("[aria-pressed]")
      .forEach((button) => button.setAttribute("aria-pressed", "false"));
    this.update();
  }

  pagerParts() {
    const pages = Math.ceil(this.shown.length / this.pageSize);
    if (this.shown.length <= PAGE_SIZES[0]) return [];
    const go = (title, page, isOff) =>
      el("button", { type: "button", disabled: isOff, click: () => this.goTo(page, title) }, title);
    const [isFirst, isLast] = [this.page === 0, this.page >= pages - 1];
    return [
      go("First", 0, isFirst),
      go("Previous", this.page - 1, isFirst),
      el("span", {}, `Page ${this.page + 1} of ${pages}`),
      go("Next", this.page + 1, isLast),
      go("Last", pages - 1, isLast),
      this.sizeChoice(),
    ];
  }

  /** Keeps the focus on the button that was pressed, or on the one beside it at either end. */
  goTo(page, title) {
    this.page = page;
    this.showPage();
    const buttons = [...this.pager.querySelectorAll("button")];
    const same = buttons.find((button) => button.textContent === title);
    (same.disabled ? buttons.find((button) => !button.disabled) : same).focus({ preventScroll: true });
    this.section.scrollIntoView({ block: "start" });
  }

  sizeChoice() {
    const options = PAGE_SIZES.map((size) =>
      el("option", { value: size, selected: size === this.pageSize }, String(size)),
    );
    const choose = (event) => {
      this.pageSize = Number(event.currentTarget.value);
      this.page = 0;
      this.showPage();
      this.pager.querySelector("select").focus();
    };
    return el("label", {}, "Rows on a page ", el("select", { change: choose }, ...options));
  }

  /** Shows every row that the filter shows, with the details of failures and differences. */
  beforePrint() {
    const telling = this.shown.filter(hasMore);
    const isFew = telling.length <= MOST_PRINTED_DETAILS;
    this.fillBody(this.shown, new Set([...this.opened, ...(isFew ? telling : [])]));
    this.showCount(0);
    const printed = `${NUMBER.format(this.shown.length)} of ${counted(this.rows.length, ...this.names())}.`;
    const left = isFew
      ? ""
      : ` Details of ${NUMBER.format(telling.length)} are left out: filter before printing to include them.`;
    this.count.textContent = `${printed}${left}`;
  }
}

/** Whether the details of a row say more about a failure or a difference than the row. */
function hasMore({ entry }) {
  return [entry.errors, entry.details, entry.differences, entry.losses].some((list) => list?.length > 0);
}

function cellOf(column, row) {
  const value = column.value(row);
  const content = hasValue(value) ? (column.cell?.(row) ?? said(value)) : "";
  return el("td", { class: column.numeric ? "numeric" : null }, ...[content].flat());
}
