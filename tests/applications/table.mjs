// Writes the table of applications into docs/proxy.md, between two comments.

import { readFileSync, writeFileSync } from "node:fs";

const PAGE = new URL("../../docs/proxy.md", import.meta.url);
const [BEGIN, END] = ["<!-- applications: written by `just applications` -->", "<!-- end of applications -->"];

/** Writes the rows; what did not run is named below them, with the reason. */
export function write(rows) {
  const page = readFileSync(PAGE, "utf8");
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error("docs/proxy.md has no place for the table of applications");
  writeFileSync(PAGE, `${page.slice(0, from)}${BEGIN}\n${table(rows)}${page.slice(to)}`);
}

export function table(rows) {
  const ran = rows.filter((row) => row.tap);
  const lines = ran.map(({ name, version, works, tap }) => `| ${name} ${version} | ${works} | ${tap.map((line) => line.replaceAll("|", "\\|")).join("<br>")} |`);
  const left = rows.filter((row) => !row.tap).map(({ name, missing }) => `- ${name}: ${missing.replaceAll("\n", " ").slice(0, 200)}\n`);
  return `| application | what works | on the tap |\n|---|---|---|\n${lines.join("\n")}\n${left.length ? `\nNot in the table:\n\n${left.join("")}` : ""}`;
}
