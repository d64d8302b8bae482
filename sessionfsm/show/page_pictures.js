// The state diagram: where the session is, which arc it came by, how often it took each until now.

const diagram = find("diagram").querySelector("svg");
const space = "http://www.w3.org/2000/svg";
const arcs = run.arcs.map((id) => {
  const element = find(id), row = element?.querySelector("text")?.parentNode ?? null;
  const count = [...(row?.querySelector("text")?.children ?? [])].find((run) => /^[\d,]+ ×/.test(run.textContent));
  return { group: element?.closest(".arrow, .loop") ?? null, row, count };
});
const groups = new Set(arcs.map((arc) => arc.group).filter(Boolean));
const rows = new Set(arcs.map((arc) => arc.row).filter(Boolean));
for (const row of rows) {
  const texts = [...row.children].filter((child) => child.tagName === "text");
  const boxes = texts.map((each) => each.getBBox());
  const mark = document.createElementNS(space, "rect");
  const left = Math.min(...boxes.map((box) => box.x)), top = Math.min(...boxes.map((box) => box.y));
  mark.setAttribute("class", "row-mark");
  mark.setAttribute("x", left - 3);
  mark.setAttribute("y", top - 1);
  mark.setAttribute("width", Math.max(...boxes.map((box) => box.x + box.width)) - left + 6);
  mark.setAttribute("height", Math.max(...boxes.map((box) => box.y + box.height)) - top + 1);
  mark.setAttribute("rx", 4);
  row.insertBefore(mark, texts[0]);
}
const boxes = run.states.map(([, id]) => {
  const group = find(id);
  const box = group?.querySelector(".box");
  const texts = [...(group?.children ?? [])].filter((child) => child.tagName === "text");
  const lines = texts.map((each) => each.querySelector(".soft")).filter(Boolean);
  if (!box || !lines.length) return { group, lines };
  const [left, width, begin] = [[box, "x"], [box, "width"], [lines[0].parentNode, "x"]].map(
    ([part, name]) => Number(part.getAttribute(name)),
  );
  const room = left + width - begin - 6;
  const { fontSize, fontFamily } = getComputedStyle(lines[0]);
  return { group, lines, room, font: `${fontSize} ${fontFamily}` };
});
// A canvas measures words without laying the page out anew.
const canvas = made("canvas").getContext("2d");
function fits(words, font, room) {
  canvas.font = font;
  return canvas.measureText(words).width <= room;
}
function spent() {
  const lengths = run.states.map(() => 0), stays = run.states.map(() => 0);
  for (const [state, from, until] of run.stays) {
    if (from > time) break;
    lengths[state] += Math.min(until, time) - from;
    stays[state] += 1;
  }
  return { lengths, stays, whole: time - run.from };
}
function drawDiagram({ lengths, stays, whole }) {
  const times = run.arcs.map(() => 0), taken = new Map();
  for (let index = 0; index < done; index += 1) {
    const record = records[index];
    times[record[at.arc]] += 1;
    if (record[at.quiet_arc] >= 0) times[record[at.quiet_arc]] += record[at.quiet_polls];
  }
  for (const [arc, polls, last] of run.unrecorded) if (last <= time) times[arc] += polls;
  arcs.forEach(({ group, row }, arc) => {
    for (const part of [group, row]) if (part) taken.set(part, (taken.get(part) ?? 0) + times[arc]);
  });
  const last = done ? arcs[records[done - 1][at.arc]] : null;
  for (const part of [...groups, ...rows]) {
    part.classList.toggle("never", !taken.get(part));
    part.classList.toggle("lit", part === last?.group || part === last?.row);
  }
  for (const { count, row } of arcs) if (count) count.textContent = `${grouped(taken.get(row) ?? 0)} × `;
  const now = here()[1], over = run.closed && done === count && time >= run.until;
  boxes.forEach(({ group, lines, room, font }, state) => {
    group?.classList.toggle("now", group.id === now);
    if (!lines.length) return;
    const words = [];
    if (lengths[state] && whole) words.push(`${share(lengths[state] / whole)} of the time`);
    if (stays[state] > 1) words.push(`${grouped(stays[state])} stays`);
    if (group.id === now) words.push(over ? "the run ended here" : "here now");
    while (words.length > 1 && !fits(words.join(", "), font, room)) words.pop();
    lines.forEach((line, number) => { line.textContent = number ? "" : words.join(", ") || "not here until now"; });
  });
}
diagram.removeAttribute("aria-labelledby");
diagram.setAttribute("aria-label", "State diagram with the path taken until now");

// The timeline: a line at the time, and a jump to where somebody clicks.

const timeline = find("timeline").querySelector("svg");
const [x0, x1, t0, t1] = ["x0", "x1", "t0", "t1"].map((name) => Number(timeline.dataset[name]));
const cursor = document.createElementNS(space, "line"), head = document.createElementNS(space, "path");
cursor.setAttribute("class", "cursor");
head.setAttribute("class", "cursor-head");
head.setAttribute("d", "M-5 0L5 0L0 7Z");
// From the first of the marks to the last; the head stands above them.
const areas = [...timeline.querySelectorAll("[data-from]")].map((mark) => mark.getBBox());
const top = areas.length ? Math.min(...areas.map((area) => area.y)) - 8 : 0;
const bottom = areas.length
  ? Math.max(...areas.map((area) => area.y + area.height)) + 4
  : timeline.viewBox.baseVal.height;
cursor.setAttribute("y1", top);
cursor.setAttribute("y2", bottom);
timeline.append(cursor, head);
const place = () => t1 > t0 ? x0 + (time - t0) / (t1 - t0) * (x1 - x0) : x0;
function drawTimeline() {
  cursor.setAttribute("x1", place());
  cursor.setAttribute("x2", place());
  head.setAttribute("transform", `translate(${place()} ${top})`);
}
function pointed(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(timeline.getScreenCTM().inverse());
  stop();
  goToTime(x1 > x0 ? t0 + (point.x - x0) / (x1 - x0) * (t1 - t0) : t0);
  draw();
}
timeline.addEventListener("click", pointed);
timeline.addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse" && event.buttons & 1) pointed(event);
});
const marks = new Map();
for (const mark of document.querySelectorAll("#timeline [data-record], #sequence [data-record]")) {
  const number = Number(mark.dataset.record);
  marks.set(number, [...(marks.get(number) ?? []), mark]);
}
let lit = [];
function drawMarks() {
  for (const mark of lit) mark.classList.remove("lit-mark");
  lit = done ? marks.get(records[done - 1][at.number]) ?? [] : [];
  for (const mark of lit) mark.classList.add("lit-mark");
}
// What is asked of the layout at every step would be worked out anew at every step.
const wide = new Map();
const sizes = new ResizeObserver(() => {
  for (const picture of wide.keys()) wide.set(picture, picture.scrollWidth > picture.clientWidth);
  sight = find("list").clientHeight;
  bringIntoView(cursor);
});
for (const picture of document.querySelectorAll(".picture")) {
  wide.set(picture, false);
  sizes.observe(picture);
}
function bringIntoView(part) {
  const picture = part?.closest(".picture");
  if (!wide.get(picture)) return;
  const area = part.getBoundingClientRect(), seen = picture.getBoundingClientRect();
  if (area.left < seen.left || area.left > seen.right) picture.scrollLeft += area.left - seen.left - seen.width / 2;
}
