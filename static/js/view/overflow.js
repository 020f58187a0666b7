// View: a hint at the edges of a part that scrolls sideways, where there is more out of sight.

/** Keeps the classes `more-left` and `more-right` of a part. */
export function hintOverflow(box) {
  const draw = () => {
    const hidden = box.scrollWidth - box.clientWidth;
    box.classList.toggle("more-left", hidden > 1 && box.scrollLeft > 1);
    box.classList.toggle("more-right", hidden > 1 && box.scrollLeft < hidden - 1);
  };
  box.addEventListener("scroll", draw, { passive: true });
  const observer = new ResizeObserver(draw);
  for (const element of [box, ...box.children]) observer.observe(element);
}
