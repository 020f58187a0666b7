// Model: two sequences aligned, so that what was inserted or removed in the middle does not make the rest
// differ. No DOM.

/** Cells of the table: of longer sequences only the common ends are found. */
const CELLS = 4_000_000;

/**
 * Aligns two lists of strings by a longest common subsequence: `[i, j]` for items that are equal, `[i, -1]`
 * for an item that only the first has, `[-1, j]` for one that only the second has, in order.
 */
export function align(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const pairs = Array.from({ length: start }, (_, n) => [n, n]);
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  for (const [i, j] of middle(middleA, middleB)) pairs.push([i === -1 ? -1 : i + start, j === -1 ? -1 : j + start]);
  for (let n = end; n > 0; n -= 1) pairs.push([a.length - n, b.length - n]);
  return pairs;
}

function middle(a, b) {
  const width = b.length + 1;
  if ((a.length + 1) * width > CELLS) return [...a.map((_, i) => [i, -1]), ...b.map((_, j) => [-1, j])];
  // Length of the longest common subsequence of what follows each pair of places.
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = a[i] === b[j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const pairs = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) pairs.push([i++, -1]);
    else pairs.push([-1, j++]);
  }
  while (i < a.length) pairs.push([i++, -1]);
  while (j < b.length) pairs.push([-1, j++]);
  return pairs;
}
