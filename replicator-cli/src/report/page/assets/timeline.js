// The timeline of the transfers: the throughput above, and below it one bar for each transfer.

const CHART = { left: 84, right: 16, top: 12, rates: 110, gap: 18, axis: 26, lanes: 260, thickest: 18 };
const STEPS = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400,
];
const MOST_LANES = 64;
const MOST_RATES = 120;

/** The section of the timeline, or nothing if no image was transferred. `reveal` opens a row. */
function timelineSection(report, rows, reveal) {
  const transfers = placed(report, rows);
  const rates = ratesOf(report.throughput ?? [], report.seconds || 0.1);
  if (transfers.length === 0 && rates.length === 0) return null;
  const chart = { transfers, rates, lanes: pack(transfers), seconds: lengthOf(report, transfers), reveal };
  const caption = el("figcaption", { id: "timeline-summary" }, summaryOf(report, chart));
  chart.readout = el("p", { class: "readout muted", "aria-hidden": "true" }, READOUT);
  chart.holder = el("div", { class: "chart" });
  new ResizeObserver(() => draw(chart)).observe(chart.holder);
  window.addEventListener("beforeprint", () => draw(chart));
  return section(
    "Timeline",
    "timeline",
    el("figure", {}, caption, chart.holder, legend(transfers), chart.readout),
  );
}

const READOUT = "Point at a bar to see the image; click to open the details in the table.";

/** The rows that moved data, with their start and end in seconds since the start of the run. */
function placed(report, rows) {
  const start = Date.parse(report.started);
  const isTransfer = ({ entry, seconds }) => seconds > 0 && (isPresent(entry.way) || entry.bytes_read > 0);
  return rows
    .filter((row) => Number.isFinite(start) && isTransfer(row))
    .map((row) => {
      const at = (text) => (Date.parse(text) - start) / 1000;
      const retries = (row.entry.retries ?? []).map((retry) => at(retry.at));
      const stalls = (row.entry.stalls ?? []).map((stall) => [at(stall.at), stall.seconds]);
      return { row, from: at(row.entry.started), to: at(row.entry.ended), retries, stalls, lane: 0 };
    })
    .sort((a, b) => a.from - b.from);
}

/** Puts transfers that overlap into different lanes. Returns the number of lanes. */
function pack(transfers) {
  const ends = [];
  for (const transfer of transfers) {
    const free = ends.findIndex((end) => end <= transfer.from);
    transfer.lane = free >= 0 ? free : Math.min(ends.length, MOST_LANES - 1);
    ends[transfer.lane] = Math.max(ends[transfer.lane] ?? 0, transfer.to);
  }
  return ends.length;
}

function lengthOf(report, transfers) {
  return transfers.reduce((last, { to }) => Math.max(last, to), report.seconds || 0.1);
}

/** The rates between the points of the throughput. Points that are close together would show bursts. */
function ratesOf(points, seconds) {
  const rates = [];
  let [from, before] = [0, 0];
  for (const [to, moved] of points) {
    if (to - from < seconds / MOST_RATES) continue;
    rates.push({ from, to, rate: Math.max(moved - before, 0) / (to - from) });
    [from, before] = [to, moved];
  }
  return rates;
}

function summaryOf(report, { transfers, rates, seconds }) {
  const sum = (count) => transfers.reduce((total, transfer) => total + count(transfer), 0);
  const moved = report.throughput?.at(-1)?.[1];
  const parts = [counted(transfers.length, "transfer"), `in ${duration(seconds)}`];
  if (moved > 0) parts.push(`${bytes(moved)} at ${rate(moved / seconds)} on average`);
  if (rates.length > 0) parts.push(`${rate(highest(rates))} at the highest`);
  parts.push(
    counted(
      sum(({ retries }) => retries.length),
      "retry",
      "retries",
    ),
    counted(
      sum(({ stalls }) => stalls.length),
      "stall",
    ),
  );
  return `${parts[0]} ${parts.slice(1).join(", ")}.`;
}

function highest(rates) {
  return rates.reduce((most, { rate: one }) => Math.max(most, one), 0);
}

function draw(chart) {
  const width = Math.max(chart.holder.clientWidth, 320);
  if (width === chart.width) return;
  chart.width = width;
  chart.laneHeight = Math.min(CHART.thickest, CHART.lanes / Math.max(chart.lanes, 1));
  chart.lanesTop = CHART.top + (chart.rates.length > 0 ? CHART.rates + CHART.gap : 0);
  chart.bottom = chart.lanesTop + chart.lanes * chart.laneHeight;
  const height = chart.bottom + CHART.axis;
  chart.x = (seconds) => CHART.left + (seconds / chart.seconds) * (width - CHART.left - CHART.right);
  const drawing = shape(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "timeline-summary" },
    ...axis(chart),
    ...throughput(chart),
    ...bars(chart),
    ...marks(chart),
  );
  drawing.addEventListener("pointermove", (event) => readOut(chart, transferAt(chart, drawing, event)));
  drawing.addEventListener("pointerleave", () => readOut(chart, undefined));
  drawing.addEventListener("click", (event) => openAt(chart, transferAt(chart, drawing, event)));
  chart.holder.replaceChildren(drawing);
}

function axis(chart) {
  const wanted = Math.max(2, Math.floor(chart.width / 110));
  const step =
    STEPS.find((one) => chart.seconds / one <= wanted) ?? Math.ceil(chart.seconds / wanted / 86400) * 86400;
  const ticks = [];
  for (let at = 0; at <= chart.seconds; at += step) ticks.push(at);
  return ticks.flatMap((at) => [
    shape("line", { class: "grid", x1: chart.x(at), x2: chart.x(at), y1: CHART.top, y2: chart.bottom }),
    shape(
      "text",
      { x: chart.x(at), y: chart.bottom + 18, "text-anchor": at === 0 ? "start" : "middle" },
      clock(at),
    ),
  ]);
}

function throughput(chart) {
  if (chart.rates.length === 0) return [];
  const [most, base] = [roundUp(highest(chart.rates)), CHART.top + CHART.rates];
  const y = (one) => base - (one / most) * CHART.rates;
  const steps = chart.rates.map(
    ({ from, to, rate: one }) => `L${chart.x(from)} ${y(one)}L${chart.x(to)} ${y(one)}`,
  );
  const [first, last] = [chart.rates[0].from, chart.rates.at(-1).to];
  const scale = [0, most / 2, most].flatMap((one) => [
    shape("line", { class: "grid", x1: CHART.left, x2: chart.width - CHART.right, y1: y(one), y2: y(one) }),
    shape("text", { x: CHART.left - 8, y: y(one) + 4, "text-anchor": "end" }, rate(one).replace(".0 ", " ")),
  ]);
  return [
    ...scale,
    shape("path", {
      class: "rates",
      d: `M${chart.x(first)} ${base}${steps.join("")}L${chart.x(last)} ${base}Z`,
    }),
  ];
}

/** The next round number, in the unit of the number. */
function roundUp(number) {
  const unit = 1024 ** Math.floor(Math.log2(Math.max(number, 1)) / 10);
  const power = 10 ** Math.floor(Math.log10(Math.max(number / unit, 1)));
  const factor = [1, 2, 3, 4, 5, 6, 8, 10].find((one) => one * power * unit >= number) ?? 10;
  return factor * power * unit;
}

/** One path for each state, so that thousands of bars stay fast. */
function bars(chart) {
  return RANKS.map((tone) => {
    const some = chart.transfers.filter(({ row }) => row.tone === tone);
    return shape("path", { class: `bar ${tone}`, d: some.map((transfer) => bar(chart, transfer)).join("") });
  });
}

function bar(chart, { from, to, lane }) {
  const [x, y] = [chart.x(from), chart.lanesTop + lane * chart.laneHeight];
  const height = chart.laneHeight * 0.72;
  return `M${x} ${y}H${Math.max(chart.x(to), x + 1)}V${y + height}H${x}Z`;
}

/** Stalls as dark parts of a bar, retries as upright lines with a point. */
function marks(chart) {
  const stalls = chart.transfers.flatMap((transfer) =>
    transfer.stalls.map(([at, seconds]) =>
      bar(chart, { from: at, to: Math.min(at + seconds, transfer.to), lane: transfer.lane }),
    ),
  );
  const retries = chart.transfers.flatMap((transfer) =>
    transfer.retries.map((at) => {
      const [x, y] = [chart.x(at), chart.lanesTop + transfer.lane * chart.laneHeight];
      return `M${x} ${y + chart.laneHeight * 0.4}L${x - 3.5} ${y - 3}H${x + 3.5}Z`;
    }),
  );
  return [
    shape("path", { class: "stall", d: stalls.join("") }),
    shape("path", { class: "retry", d: retries.join("") }),
  ];
}

function legend(transfers) {
  const tones = RANKS.filter((tone) => transfers.some(({ row }) => row.tone === tone));
  const states = (tone) =>
    [...new Set(transfers.filter(({ row }) => row.tone === tone).map(({ row }) => row.state ?? "done"))].join(
      ", ",
    );
  const items = tones.map((tone) => sample(`bar ${tone}`, "M0 2H16V12H0Z", states(tone)));
  if (transfers.some(({ stalls }) => stalls.length > 0))
    items.push(sample("stall", "M0 2H16V12H0Z", "stall"));
  if (transfers.some(({ retries }) => retries.length > 0))
    items.push(sample("retry", "M8 12L4 3H12Z", "retry"));
  return el("ul", { class: "legend" }, ...items);
}

function sample(kind, d, title) {
  const picture = shape(
    "svg",
    { viewBox: "0 0 16 14", width: 16, height: 14, "aria-hidden": "true" },
    shape("path", { class: kind, d }),
  );
  return el("li", {}, picture, ` ${title}`);
}

function transferAt(chart, drawing, event) {
  const box = drawing.getBoundingClientRect();
  const scale = chart.width / box.width;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  const lane = Math.floor((y - chart.lanesTop) / chart.laneHeight);
  return chart.transfers.find(
    (one) => one.lane === lane && chart.x(one.from) - 1 <= x && x <= chart.x(one.to) + 1,
  );
}

function readOut(chart, transfer) {
  chart.readout.textContent = transfer ? readoutOf(transfer) : READOUT;
  chart.holder.classList.toggle("pointed", Boolean(transfer));
}

function readoutOf({ row, from, retries, stalls }) {
  const parts = [
    visible(row.name),
    row.state,
    row.size && bytes(row.size),
    `from ${clock(from)} for ${duration(row.seconds)}`,
  ];
  if (retries.length > 0) parts.push(counted(retries.length, "retry", "retries"));
  if (stalls.length > 0) parts.push(counted(stalls.length, "stall"));
  return parts.filter(Boolean).join(" · ");
}

function openAt(chart, transfer) {
  if (transfer) chart.reveal(transfer.row);
}
