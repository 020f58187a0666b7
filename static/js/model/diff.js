// Model: two JSON values or two texts compared. No DOM.

/** Lines that a comparison shows. */
const MOST = 2000;

const isTree = (value) => value !== null && typeof value === "object";

/**
 * What two values differ in: `{ lines, same, cut }`. A line is `{ path, kind, a, b }`, kind one of
 * "changed", "removed" (only in the first) and "added"; `same` counts leaves that are equal.
 */
export function diff(a, b) {
  const lines = [];
  let same = 0;
  const stack = [{ path: [], a, b, inA: true, inB: true }];
  while (stack.length > 0 && lines.length < MOST) {
    const here = stack.pop();
    if (!here.inA || !here.inB) {
      lines.push({ path: here.path, kind: here.inA ? "removed" : "added", a: here.a, b: here.b });
    } else if (isTree(here.a) && isTree(here.b) && Array.isArray(here.a) === Array.isArray(here.b)) {
      const keys = [...new Set([...Object.keys(here.a), ...Object.keys(here.b)])];
      for (const key of keys.reverse()) {
        const name = Array.isArray(here.a) ? Number(key) : key;
        stack.push({ path: [...here.path, name], a: here.a[key], b: here.b[key], inA: Object.hasOwn(here.a, key), inB: Object.hasOwn(here.b, key) });
      }
    } else if (Object.is(here.a, here.b) || (isTree(here.a) && isTree(here.b) && JSON.stringify(here.a) === JSON.stringify(here.b))) {
      same += 1;
    } else {
      lines.push({ path: here.path, kind: "changed", a: here.a, b: here.b });
    }
  }
  return { lines, same, cut: stack.length > 0 };
}

/** What two texts have in common at their beginnings and ends, and what stands between. */
export function between(a, b) {
  let start = 0;
  const shorter = Math.min(a.length, b.length);
  while (start < shorter && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return { start: a.slice(0, start), a: a.slice(start, a.length - end), b: b.slice(start, b.length - end), end: a.slice(a.length - end) };
}
