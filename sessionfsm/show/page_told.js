// The record at hand, in words.

function chip([name, , kind]) { return made("span", `chip ${kind}`, name); }
function tell() {
  const parts = [];
  if (!done) {
    const way = made("p", "way");
    way.append(chip(here()));
    parts.push(made("p", "what", count ? "Nothing has happened yet" : "No record in this stretch"), way);
  } else {
    const record = records[done - 1], earlier = done > 1 ? records[done - 2] : null;
    const what = made("p", "what", text(record, "trigger"));
    const number = `record ${grouped(record[at.number])}, at ${timeOf(done - 1).toFixed(3)} s`;
    what.append(" ", made("span", "number", number));
    const way = made("p", "way");
    way.append(chip(stateOf(record, "source")), " → ", chip(stateOf(record, "target")));
    const list = made("dl");
    const row = (name, ...content) => {
      if (content.every((each) => each === "")) return;
      const cell = made("dd");
      cell.append(...content);
      list.append(made("dt", "", name), cell);
    };
    const quiet = [[record[at.quiet_polls], "quiet poll"], [record[at.quiet_news], "message"]];
    row("before it", quiet.filter(([number]) => number).map((each) => counted(...each)).join(", "));
    if (record[at.started] !== null) {
      const out = record[at.held] ?? timeOf(done - 1) - record[at.started];
      row("request", `${text(record, "operation") === "renew" ? "renewal" : "poll"}, out for ${length(out)}`);
    }
    row("seen", text(record, "detail"));
    row("brought", record[at.news] ? counted(record[at.news], "message") : "");
    row("ordered", text(record, "ordered"));
    row("wait", record[at.wait] === null ? "" : length(record[at.wait]));
    row("memory", ...remembered(record, earlier));
    row("raised", text(record, "raised") && made("b", "bad", text(record, "raised")));
    row("cleared", text(record, "cleared"));
    row("signals up", text(record, "up") === text(record, "raised") ? "" : text(record, "up"));
    row("account", record[at.account] === run.account ? "" : text(record, "account"));
    parts.push(what, way, made("p", "reason", text(record, "reason")), list);
  }
  find("told").replaceChildren(...parts);
}
function remembered(record, earlier) {
  const now = run.memories[record[at.memory]], then = earlier ? run.memories[earlier[at.memory]] : now;
  return run.memory.map((name, cell) => {
    const value = typeof now[cell] === "boolean" ? (now[cell] ? "yes" : "no") : now[cell];
    return made("span", now[cell] === then[cell] ? "cell" : "cell new", `${name} ${value}`);
  });
}

// Requests, waits and sends before and after the time.

const SHOWN = 3;
function around(list, lane) {
  const begun = before(lane, FROM, time);
  const shown = lane.slice(Math.max(begun - SHOWN, 0), begun + 2);
  list.replaceChildren(...shown.map((mark) => {
    const started = mark[FROM] <= time, out = started && mark[UNTIL] > time;
    const item = made("li", out ? "now" : started ? "" : "later");
    const words = made("span", "", run.texts[mark[WHAT]]);
    if (out) words.append(`, for ${length(time - mark[FROM])} until now`);
    else if (started) {
      const came = made("span", mark[GOOD] ? "" : "bad", run.texts[mark[CAME]]);
      // Of a poll that was only counted it is not known how long it took.
      words.append(mark[UNTIL] > mark[FROM] ? `, ${length(mark[UNTIL] - mark[FROM])}: ` : ": ", came);
    }
    item.append(made("span", "at", `${mark[FROM].toFixed(3)} s`), words);
    return item;
  }));
  if (!shown.length) list.append(made("li", "", "none"));
}

// The list of records: only those in sight are in the page.

const HEIGHT = 26, list = find("list"), shelf = find("rows");
let sight = 400, scrolled = 0;
shelf.style.height = `${count * HEIGHT}px`;
function drawList() {
  const top = Math.max(Math.floor(scrolled / HEIGHT) - 8, 0);
  const last = Math.min(top + Math.ceil(sight / HEIGHT) + 16, count);
  const shown = [];
  for (let index = top; index < last; index += 1) {
    const record = records[index];
    const row = made("div", `row${index === done - 1 ? " at-hand" : index >= done ? " later" : ""}`);
    row.id = `row-${index}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === done - 1));
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", count);
    row.style.top = `${index * HEIGHT}px`;
    const [source, target] = [stateOf(record, "source"), stateOf(record, "target")];
    const way = source === target ? `in ${target[0]}` : `${source[0]} → ${target[0]}`;
    row.append(made("span", "index", grouped(record[at.number])), made("span", "at", `${timeOf(index).toFixed(3)} s`),
      made("span", "", text(record, "trigger")), made("span", "soft", way),
      made("span", "bad", record[at.trouble] ? "●" : ""));
    if (record[at.trouble]) row.lastChild.title = "trouble";
    row.addEventListener("click", () => { stop(); goToRecord(index); draw(); });
    shown.push(row);
  }
  shelf.replaceChildren(...shown);
  if (done > top && done <= last) list.setAttribute("aria-activedescendant", `row-${done - 1}`);
  else list.removeAttribute("aria-activedescendant");
}
function showRow() {
  const row = Math.max(done - 1, 0) * HEIGHT;
  if (row >= scrolled && row + HEIGHT <= scrolled + sight) return;
  list.scrollTop = row - sight / 2;
  scrolled = list.scrollTop;
}
list.addEventListener("scroll", () => {
  scrolled = list.scrollTop;
  drawList();
});
sizes.observe(list);

// Totals until now.

function drawTotals({ lengths, stays, whole }) {
  const say = (name, words) => {
    const cell = document.querySelector(`[data-total="${name}"] .so-far`);
    if (cell) cell.textContent = words;
  };
  run.states.forEach((_, state) => say(`state-${state}`, !stays[state] ? "never"
    : length(lengths[state]) + (lengths[state] && whole ? ` (${share(lengths[state] / whole)})` : "")));
  const sum = (rows, counts = () => true, size = () => 1) => {
    let all = 0, bad = 0, news = 0;
    for (const row of rows) {
      if (Math.min(row[UNTIL], run.until) > time || !counts(row)) continue;
      all += size(row);
      bad += row[GOOD] ? 0 : 1;
      news += row[NEWS] ?? 0;
    }
    return { all, bad, news };
  };
  const some = ({ all, bad }, what) => grouped(all) + (bad ? `, ${grouped(bad)} ${what}` : "");
  const polls = sum(run.requests, (row) => row[KIND] === "poll", (row) => row[POLLS]);
  say("records", grouped(done));
  say("polls", some(polls, "not good"));
  say("renewals", some(sum(run.requests, (row) => row[KIND] === "renew"), "failed"));
  say("messages", grouped(polls.news));
  say("waits", some(sum(run.waits), "cut short"));
  say("sends", some(sum(run.sends), "failed"));
}
