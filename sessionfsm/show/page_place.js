// Where we are: the time, and how many records have happened. Several may have happened at one time.

let time = run.until, done = count, playing = false;
const timeOf = (index) => records[index][at.at];
const before = (rows, key, limit) => {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][key] <= limit) low = middle + 1; else high = middle;
  }
  return low;
};
function goToTime(seconds) {
  time = Math.min(Math.max(seconds, run.from), run.until);
  done = before(records, at.at, time);
}
function goToRecord(index) {
  done = index + 1;
  time = index < 0 ? run.from : timeOf(index);
}
function step(way) {
  if (way > 0) {
    if (done < count) goToRecord(done); else time = run.until;
  } else if (done && time > timeOf(done - 1)) goToRecord(done - 1);
  else if (done) goToRecord(done - 2);
  else time = run.from;
}
const troubles = [
  ...records.flatMap((record, index) => record[at.trouble] ? [[record[at.at], index]] : []),
  ...run.sends.flatMap((send) => send[GOOD] ? [] : [[Math.min(send[UNTIL], run.until), -1]]),
].sort((one, other) => one[0] - other[0] || one[1] - other[1]);
const isAfter = ([when, index]) => when > time || (when === time && index >= done);
const isBefore = ([when, index]) => when < time || (when === time && index >= 0 && index + 1 < done);
function trouble(way) {
  const next = way > 0 ? troubles.find(isAfter) : troubles.findLast(isBefore);
  if (!next) return;
  if (next[1] < 0) goToTime(next[0]); else goToRecord(next[1]);
}
function here() {
  if (done) return run.states[records[done - 1][at.target]];
  return run.states[count ? records[0][at.source] : run.stays[0][0]];
}
