// The strip tells the truth: its columns against lists of events. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BUCKET, Density } from "../../static/js/model/density.js";
import { Tally } from "../../static/js/model/tally.js";
import { client, drawn, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

/** Random numbers that are the same in each run. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
}

const NOW = Date.UTC(2026, 0, 1, 12);

/** Times of events: bursts with silence between them, the oldest first. */
function times(next, count, reach) {
  const bursts = Array.from({ length: 1 + next(6) }, () => NOW - next(reach));
  return Array.from({ length: count }, () => bursts[next(bursts.length)] - next(2000)).sort((a, b) => a - b);
}

/** What the server answers to `format=marks&step=`: see histogram.rs. */
function counted(list, step = BUCKET, most = 4096) {
  for (let size = step; ; size *= 2) {
    const counts = new Map();
    for (const ms of list) counts.set(ms - (ms % size), (counts.get(ms - (ms % size)) ?? 0) + 1);
    if (counts.size <= most) return { step: size, counts: [...counts] };
  }
}

/** The columns that a list says there are. */
function listed(list, { from, step, values }) {
  const found = values.map(() => 0);
  for (const ms of list) {
    const at = Math.floor((ms - from) / step);
    if (at >= 0 && at < found.length) found[at] += 1;
  }
  return found;
}

test("each column has the number of events that a list has in its time, whatever counted them", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const next = random(seed);
    const list = times(next, 500 + next(3000), [50_000, 3_000_000, 40_000_000][next(3)]);
    const density = new Density();
    const told = next(list.length);
    const whole = counted(list.slice(0, told), BUCKET, 1 + next(300));
    const from = whole.step * Math.floor((NOW - next(10_000_000)) / whole.step);
    density.past(whole, counted(list.slice(0, told).filter((ms) => ms >= from), BUCKET, 1 + next(300)), from);
    density.add(counted(list.slice(told), BUCKET, Infinity).counts);
    for (const [reach, most] of [[60_000, 300], [600_000, 333], [3_600_000, 120], [50_000_000, 500], [50_000_000, 1]]) {
      const drawn = density.columns(NOW - reach, NOW, most);
      assert.deepEqual([...drawn.values], [...listed(list, drawn)], `seed ${seed}, ${reach} ms`);
      assert.ok(drawn.values.length <= most);
      assert.ok(drawn.to >= NOW && drawn.from <= NOW - reach + drawn.step * drawn.values.length);
    }
    assert.ok(density.begin <= list[0] && density.end > list.at(-1));
  }
});

test("old buckets become longer ones, and no event is lost or moved to silence", () => {
  const density = new Density();
  const list = Array.from({ length: 60_000 }, (_, n) => NOW + n * 1000);
  for (const ms of list) density.add([[ms, 1]]);
  for (const most of [100, 1000]) {
    const columns = density.columns(NOW, NOW + 60_000_000, most);
    assert.deepEqual([...columns.values], [...listed(list, columns)]);
  }
  const newest = density.columns(list.at(-1) - 60_000, list.at(-1), 300);
  assert.equal(newest.step, BUCKET, "the newest minute stays as fine as it was");
  assert.deepEqual([...density.columns(NOW - 600_000, NOW - 1, 100).values].filter((n) => n > 0), []);
});

test("an event that the server has counted is not counted again", () => {
  const line = (ms, seq) => `{"id":"${ms}-${seq}","kind":"message"}`;
  const tally = new Tally();
  for (const [ms, seq] of [[1000, 0], [1000, 1], [1000, 2], [1600, 0]]) tally.add(line(ms, seq));
  assert.equal(tally.isEmpty, true, "nothing counts while the server counts");
  tally.after("1000-1");
  tally.add(line(1601, 0));
  tally.add('{"kind":"gap","missed":5}');
  assert.deepEqual(tally.take(), [[1000, 1], [1500, 2]]);
  assert.equal(tally.isEmpty, true);
});

/** Columns with events as the strip tells them under the pointer, times without a date: `[begin, length, events]`. */
async function told(watch) {
  const box = await watch.locator("#strip").boundingBox();
  const found = new Map();
  await drawn(watch);
  for (const tip of await watch.evaluate(({ x, y, width }) => {
    const tips = [];
    for (let at = 0; at < width; at += 1) {
      document.getElementById("strip").dispatchEvent(new PointerEvent("pointermove", { clientX: x + at, clientY: y + 5 }));
      tips.push(document.getElementById("strip-tip").textContent);
    }
    return tips;
  }, box)) {
    const [, begin, events, length] = /^(?:[\d-]+ )?([\d:.]+) · ([\d,]+) events? in ([\d.]+) s$/.exec(tip);
    if (events !== "0") found.set(begin, [begin, Number(length), Number(events)]);
  }
  return [...found.values()];
}

/** The same by a list of events. */
async function expected(watch, server, query, length) {
  const list = await (await fetch(`${server.url}/api/events?limit=all&${query}`)).json();
  const counts = new Map();
  for (const { id } of list) {
    const begin = Math.floor(parseInt(id, 10) / (length * 1000)) * length * 1000;
    counts.set(begin, (counts.get(begin) ?? 0) + 1);
  }
  return watch.evaluate(({ pairs, seconds }) => pairs.map(([ms, n]) => {
    const date = new Date(ms);
    const two = (part) => String(part).padStart(2, "0");
    const whole = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    return [seconds < 1 ? `${whole}.${String(date.getMilliseconds()).padStart(3, "0")}` : whole, seconds, n];
  }), { pairs: [...counts].sort(([a], [b]) => a - b), seconds: length });
}

test("the strip of a page counts what a list counts, before and after a search, and its silence is empty", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const socket = await client(server, "a");
  for (const [burst, words] of [[7, "x"], [1, "needle"], [12, "x"], [2, "needle"]]) {
    for (let n = 0; n < burst; n += 1) socket.send(`${words} ${n}`);
    await new Promise((wake) => setTimeout(wake, 1300));
  }
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  await until("all", async () => /^23 events/.test(await text(watch, "#counts")));
  for (let n = 0; n < 9; n += 1) socket.send(`live ${n}`);
  await until("what is live", async () => /^32 events/.test(await text(watch, "#counts")));
  const agrees = async (query) => {
    let seen = [];
    let list = [];
    await until(`columns as a list has them: ${query}`, async () => {
      seen = await told(watch);
      list = await expected(watch, server, query, seen[0]?.[1] ?? 1);
      return JSON.stringify(seen) === JSON.stringify(list);
    }).catch((error) => {
      assert.deepEqual(seen, list);
      throw error;
    });
    await says(watch, "#strip-peak", new RegExp(`^peak ${Math.max(...list.map(([, , n]) => n))} in ${seen[0][1]} s$`));
    return seen.length;
  };
  assert.ok(await agrees("") >= 5, "each burst has a column of its own");
  await watch.fill("#text", "needle");
  await until("the hits", async () => (await rows(watch)).length === 3);
  await agrees("text=needle");
  await watch.click('[data-span="10m"]');
  await agrees("text=needle");
  const inked = () => watch.evaluate(() => {
    const canvas = document.getElementById("strip");
    // A line of the picture just above the axis: bars and nothing else, apart from the lines of the axis.
    const y = canvas.height - 18 * devicePixelRatio;
    const { data } = canvas.getContext("2d").getImageData(0, y, canvas.width, 1);
    let inked = 0;
    for (let x = 0; x < canvas.width; x += 1) if (data[4 * x + 3] === 255) inked += 1;
    return inked / canvas.width;
  });
  assert.ok(await inked() < 0.05, "ten minutes with three hits are nearly empty");
});
