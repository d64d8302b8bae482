// All of it: what is drawn at each step, playing, and what buttons and keys do.

const scrubber = find("scrubber");
scrubber.min = run.from;
scrubber.max = run.until;
scrubber.disabled = run.until <= run.from;
let drawn = -1, address = 0;
function draw() {
  const spending = spent(), wall = done ? records[done - 1][at.wall] + time - timeOf(done - 1) : run.began + time;
  scrubber.value = time;
  scrubber.setAttribute("aria-valuetext", `${length(time)}, ${here()[0]}`);
  find("relative").textContent = `${time.toFixed(3)} s`;
  find("wall").textContent = `${time < 60 ? "" : `= ${length(time)}, `}of ${length(run.until)}; ${moment(wall)}`;
  drawDiagram(spending);
  drawTimeline();
  around(find("around-requests"), requests);
  around(find("around-sends"), run.sends);
  drawTotals(spending);
  bringIntoView(cursor);
  if (drawn !== done) {
    drawn = done;
    tell();
    drawMarks();
    showRow();
    drawList();
    bringIntoView(document.querySelector(".state.now .box"));
  }
  find("previous").disabled = !done && time <= run.from;
  find("next").disabled = done === count && time >= run.until;
  find("previous-trouble").disabled = !troubles.some(isBefore);
  find("next-trouble").disabled = !troubles.some(isAfter);
  clearTimeout(address);
  if (!playing) address = setTimeout(remember, 300);
}
// The address leads back to where we are. Some browsers do not let a file's page write it, or not so often.
function remember() {
  const exact = done && time === timeOf(done - 1);
  const mark = exact ? `#record=${records[done - 1][at.number]}` : `#t=${time.toFixed(3)}`;
  try { history.replaceState(null, "", mark); } catch { /* then it stays as it is */ }
}
function follow() {
  const [, name, value] = /^#(t|record)=(\d+(?:\.\d+)?)$/.exec(location.hash) ?? [];
  if (name === "t") goToTime(Number(value));
  if (name === "record") {
    const index = records.findIndex((record) => record[at.number] === Number(value));
    if (index >= 0) goToRecord(index);
  }
  return name !== undefined;
}

// Playing.

const speed = find("speed"), play = find("play");
let last = 0, held = 0, frame = 0;
function stop() {
  playing = false;
  cancelAnimationFrame(frame);
  play.textContent = "Play";
  find("told").setAttribute("aria-live", "polite");
}
function start() {
  if (time >= run.until && done === count) goToRecord(-1);
  playing = true;
  last = performance.now();
  held = 0;
  play.textContent = "Pause";
  find("told").setAttribute("aria-live", "off");
  draw();
  frame = requestAnimationFrame(tick);
}
function tick() {
  const now = performance.now(), passed = (now - last) / 1000;
  last = now;
  if (speed.value === "step") {
    held += passed;
    if (held >= 1) { held = 0; step(1); }
  } else {
    const pace = speed.value === "whole" ? (run.until - run.from) / 30 : Number(speed.value);
    goToTime(time + passed * pace);
  }
  if (time >= run.until && done === count) stop();
  else frame = requestAnimationFrame(tick);
  draw();
}
const act = (what) => () => { stop(); what(); draw(); };
play.addEventListener("click", () => { if (playing) { stop(); draw(); } else start(); });
find("previous").addEventListener("click", act(() => step(-1)));
find("next").addEventListener("click", act(() => step(1)));
find("previous-trouble").addEventListener("click", act(() => trouble(-1)));
find("next-trouble").addEventListener("click", act(() => trouble(1)));
scrubber.addEventListener("input", act(() => goToTime(Number(scrubber.value))));

const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => goToRecord(-1), End: () => goToTime(run.until),
  "Shift+ArrowLeft": () => trouble(-1), "Shift+ArrowRight": () => trouble(1),
};
const IN_LIST = { ArrowUp: KEYS.ArrowLeft, ArrowDown: KEYS.ArrowRight };
document.addEventListener("keydown", (event) => {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.ctrlKey || event.altKey || event.metaKey || target.closest("select")) return;
  const picture = target.closest(".picture");
  if (wide.get(picture) && event.key.startsWith("Arrow")) return;
  if (event.key === " " && !target.closest("button")) play.click();
  else {
    const key = event.shiftKey ? `Shift+${event.key}` : event.key;
    const what = KEYS[key] ?? (target === list ? IN_LIST[key] : undefined);
    if (!what) return;
    act(what)();
  }
  event.preventDefault();
});
window.addEventListener("hashchange", () => { if (follow()) { stop(); draw(); } });
find("scheme").querySelector("select").addEventListener("change", (event) => {
  if (event.target.value) document.documentElement.dataset.scheme = event.target.value;
  else delete document.documentElement.dataset.scheme;
});

document.documentElement.classList.add("replay");
find("player").hidden = false;
follow();
draw();
