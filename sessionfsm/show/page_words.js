// The run, and words for what it has. What is said of it is only ever put in as text.

const run = JSON.parse(document.getElementById("run").textContent);
const at = Object.fromEntries(run.columns.map((name, cell) => [name, cell]));
const records = run.records, count = records.length;
const [FROM, UNTIL, GOOD, WHAT, CAME, NUMBER, KIND, POLLS, NEWS] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const requests = [...run.requests, ...run.waits].sort((one, other) => one[FROM] - other[FROM]);
const find = (id) => document.getElementById(id);

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const counted = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
const two = (count, large, unit, small) =>
  `${grouped(Math.floor(count / large))} ${unit}${count % large ? ` ${count % large} ${small}` : ""}`;
function length(seconds) {
  if (seconds < 0.9995) return `${rounded(seconds * 1000, seconds < 0.009995 ? 2 : 0)} ms`;
  if (seconds < 59.95) return `${rounded(seconds, seconds < 9.995 ? 2 : 1)} s`;
  if (seconds < 3599.5) return two(Math.floor(seconds + 0.5), 60, "min", "s");
  if (seconds < 86370) return two(Math.floor(seconds / 60 + 0.5), 60, "h", "min");
  return two(Math.floor(seconds / 3600 + 0.5), 24, "d", "h");
}
const rounded = (value, digits) => Math.floor(value * 10 ** digits + 0.5) / 10 ** digits;
function share(part) {
  if (part > 0 && part < 0.01) return "less than 1 %";
  return part >= 0.995 && part < 1 - 1e-9 ? "more than 99 %" : `${(100 * part).toFixed(0)} %`;
}
function moment(seconds) {
  const date = new Date(Math.round(seconds * 1000));
  return Number.isNaN(date.getTime()) ? `${seconds.toFixed(0)} s since 1970 UTC` : `${date.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}
const text = (record, name) => run.texts[record[at[name]]];
const stateOf = (record, name) => run.states[record[at[name]]];
function made(tag, look, content) {
  const element = document.createElement(tag);
  if (look) element.className = look;
  if (content !== undefined) element.textContent = content;
  return element;
}
