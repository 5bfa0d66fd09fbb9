// Numbers and times as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const NUMBER = new Intl.NumberFormat("en");
const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function bytes(count) {
  const power = count < 1024 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), UNITS.length - 1);
  return `${(count / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`;
}

function rate(bytesPerSecond) {
  return `${bytes(bytesPerSecond)}/s`;
}

/** A duration such as 0.4 s, 12 s, 3 min 5 s or 2 h 10 min. */
function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A time of day on the axis of the timeline, counted from the start of the run. */
function clock(seconds) {
  const [hours, minutes, rest] = [
    Math.floor(seconds / 3600),
    Math.floor((seconds % 3600) / 60),
    seconds % 60,
  ];
  const two = (number) => String(number).padStart(2, "0");
  if (hours > 0) return `${hours}:${two(minutes)}:${two(Math.round(rest))}`;
  return seconds < 60 ? `${Number(rest.toFixed(1))} s` : `${minutes}:${two(Math.round(rest))}`;
}

/** A time of RFC 3339 in UTC, to the second. */
function when(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime())
    ? visible(text)
    : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function counted(number, one, many = `${one}s`) {
  return `${NUMBER.format(number)} ${number === 1 ? one : many}`;
}

/** A key of the report as words: `in_place` is "in place". */
function words(key) {
  return visible(key).replaceAll("_", " ");
}

function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
