// Model: two JSON values or two texts compared. Lists and words are aligned; no DOM.

import { align } from "./align.js";

/** Lines that a comparison shows. */
const MOST = 2000;

/** Characters of a text that are compared word by word. */
const WORDS = 100_000;

const isTree = (value) => value !== null && typeof value === "object";

/**
 * The differences of two values: `{ lines, same, cut }`. A line is `{ path, kind, a, b }`, kind one of
 * "changed", "removed" (only in the first) and "added"; `same` counts leaves that are equal. An item of a
 * list that has moved is `[i, j]` in a path: its index in the first and in the second.
 */
export function diff(a, b) {
  const lines = [];
  let same = 0;
  const stack = [{ path: [], a, b, inA: true, inB: true }];
  while (stack.length > 0 && lines.length < MOST) {
    const here = stack.pop();
    if (!here.inA || !here.inB) {
      lines.push({ path: here.path, kind: here.inA ? "removed" : "added", a: here.a, b: here.b });
    } else if (Array.isArray(here.a) && Array.isArray(here.b)) {
      for (const [i, j] of items(here.a, here.b).reverse()) stack.push({ path: [...here.path, place(i, j)], a: here.a[i], b: here.b[j], inA: i !== -1, inB: j !== -1 });
    } else if (isTree(here.a) && isTree(here.b) && Array.isArray(here.a) === Array.isArray(here.b)) {
      const keys = [...new Set([...Object.keys(here.a), ...Object.keys(here.b)])];
      for (const key of keys.reverse()) {
        stack.push({ path: [...here.path, key], a: here.a[key], b: here.b[key], inA: Object.hasOwn(here.a, key), inB: Object.hasOwn(here.b, key) });
      }
    } else if (Object.is(here.a, here.b) || (isTree(here.a) && isTree(here.b) && JSON.stringify(here.a) === JSON.stringify(here.b))) {
      same += 1;
    } else {
      lines.push({ path: here.path, kind: "changed", a: here.a, b: here.b });
    }
  }
  return { lines, same, cut: stack.length > 0 };
}

function place(i, j) {
  if (i === -1 || j === -1) return Math.max(i, j);
  return i === j ? i : [i, j];
}

/** The items of two lists as pairs. An item that was removed where one of its type was added has changed. */
function items(a, b) {
  const areShort = a.length < 2 && b.length < 2;
  const [inA, inB] = areShort ? [null, null] : [texts(a), texts(b)];
  if (!inA || !inB) return Array.from({ length: Math.max(a.length, b.length) }, (_, n) => [n < a.length ? n : -1, n < b.length ? n : -1]);
  const pairs = [];
  let [removed, added] = [[], []];
  const settle = () => {
    for (const i of removed) {
      const at = added.findIndex((j) => kindOf(a[i]) === kindOf(b[j]));
      // What stands before the partner was added before it.
      if (at > 0) for (const j of added.splice(0, at)) pairs.push([-1, j]);
      pairs.push([i, at === -1 ? -1 : added.shift()]);
    }
    for (const j of added) pairs.push([-1, j]);
    [removed, added] = [[], []];
  };
  for (const [i, j] of align(inA, inB)) {
    if (i !== -1 && j !== -1) {
      settle();
      pairs.push([i, j]);
    } else if (i === -1) added.push(j);
    else removed.push(i);
  }
  settle();
  return pairs;
}

/** The items of a list as JSON, or null if they are nested too deeply. */
function texts(list) {
  try {
    return list.map((item) => JSON.stringify(item) ?? "");
  } catch {
    return null;
  }
}

function kindOf(value) {
  return Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
}

/**
 * Two texts word by word: pieces `{ kind, text }` in order, kind "same", "removed" or "added". Texts that
 * are too long for that have their common ends in common.
 */
export function words(a, b) {
  if (a.length + b.length > WORDS) {
    const { start, a: removed, b: added, end } = between(a, b);
    return joined([["same", start], ["removed", removed], ["added", added], ["same", end]]);
  }
  const [inA, inB] = [a, b].map((text) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? []);
  return joined(align(inA, inB).map(([i, j]) => (i === -1 ? ["added", inB[j]] : j === -1 ? ["removed", inA[i]] : ["same", inA[i]])));
}

/** Neighbours of a kind as one piece. */
function joined(pieces) {
  const found = [];
  for (const [kind, text] of pieces) {
    if (text === "") continue;
    if (found.at(-1)?.kind === kind) found.at(-1).text += text;
    else found.push({ kind, text });
  }
  return found;
}

/** What two texts have in common at their beginnings and ends, and the rest of each. */
export function between(a, b) {
  let start = 0;
  const shorter = Math.min(a.length, b.length);
  while (start < shorter && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return { start: a.slice(0, start), a: a.slice(start, a.length - end), b: b.slice(start, b.length - end), end: a.slice(a.length - end) };
}
