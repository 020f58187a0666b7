// View: what a body looks like: an example, and its members in words.

import { indented } from "../model/call.js";
import { members, typeWords } from "../model/schema.js";
import { button, copy, make } from "./dom.js";
import { prose } from "./prose.js";

/** Text that was or will be sent, with a way to copy it. */
export function code(text, label) {
  const box = make("div", "code");
  const pre = make("pre", "", text, { tabindex: "0", role: "group", "aria-label": label });
  box.append(pre, button("Copy", "small", () => copy(pre.textContent), { "aria-label": `Copy: ${label}` }));
  return box;
}

const shown = (value) => (typeof value === "string" ? value : indented(JSON.stringify(value)));

/** Examples, and the members behind a fold. */
export function shape(root, { schema, examples }, label) {
  const parts = [];
  examples.forEach(({ name, value }, n) => parts.push(code(shown(value), [label, name || (n > 0 ? n + 1 : "")].filter(Boolean).join(", "))));
  const rows = schema ? members(root, schema) : [];
  if (rows.length > 0) {
    const fold = make("details", "members");
    fold.append(make("summary", "", `Members of ${typeWords(root, schema, 1)}`), table(rows));
    parts.push(fold);
  }
  return parts;
}

function table(rows) {
  const list = make("ul", "rows");
  for (const row of rows) {
    const line = make("li", row.choice ? "choice-of" : "");
    line.style.setProperty("--level", String(row.level));
    if (row.choice) {
      line.append(make("strong", "", row.choice), " ", prose("span", "dim", row.about));
    } else {
      line.append(make("code", "name", row.name), " ", make("span", "type", row.type));
      if (!row.required) line.append(" ", make("span", "dim", "may be absent"));
      const more = [row.about, row.limits].filter(Boolean).join(" ");
      if (more) line.append(prose("div", "about", more));
    }
    list.append(line);
  }
  return list;
}
