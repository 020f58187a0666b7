// Installs applications, each into a folder of its own below target/applications, by pip, npm and apt.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const HERE = new URL(".", import.meta.url).pathname;
const TARGET = new URL("../../target/applications", import.meta.url).pathname;

/** The oldest Node that all applications run on, and the package that brings one. */
const NODE = { major: 22, minor: 15, package: "node@22.22.0" };

/** Installs an application unless that is done already. Returns where its programs are. */
export function install({ name, pip, npm, apt }) {
  const folder = join(TARGET, name.toLowerCase().replace(/[^a-z0-9]+/g, "-"));
  mkdirSync(folder, { recursive: true });
  const wanted = JSON.stringify({ pip, npm, apt });
  const done = join(folder, "installed.json");
  if (!existsSync(done) || readFileSync(done, "utf8") !== wanted) {
    if (pip) withPip(folder, pip);
    if (npm) withNpm(folder, npm);
    if (apt) withApt(apt);
    writeFileSync(done, wanted);
  }
  const paths = [join(folder, "venv/bin"), join(folder, "node_modules/.bin"), node()];
  return {
    folder,
    env: { PATH: `${paths.join(":")}:${process.env.PATH}:/usr/sbin` },
    version: pip ? release(pip[0]) : npm ? release(npm[0]) : debian(apt[0]),
  };
}

/** `5.0.7` of `node-red@5.0.7` or `bokeh==3.9.2`. */
const release = (specification) => /[^=@]+$/.exec(specification)[0];

/** `3.10.8` of the Debian version `1:3.10.8-1+deb12u1`. */
const debian = (name) => /^(?:\d+:)?([^-+]+)/.exec(execFileSync("dpkg-query", ["-W", "-f", "${Version}", name], { encoding: "utf8" }))[1];

function withPip(folder, packages) {
  run("python3", ["-m", "venv", join(folder, "venv")], folder);
  run(join(folder, "venv/bin/pip"), ["install", "-q", "--disable-pip-version-check", ...packages], folder);
}

function withNpm(folder, packages) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  run("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", ...packages], folder);
}

/** Services are installed and not started: `RUNLEVEL=1`. */
function withApt(packages) {
  if (packages.every((name) => spawnSync("dpkg", ["-s", name]).status === 0)) return;
  const root = process.getuid() === 0 ? [] : ["sudo"];
  run(...command([...root, "apt-get", "update", "-q"]));
  run(...command([...root, "env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends", ...packages]));
}

const command = ([program, ...args]) => [program, args];

/** The folder of a Node that is new enough. */
function node() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > NODE.major || (major === NODE.major && minor >= NODE.minor)) return join(process.execPath, "..");
  const folder = join(TARGET, "node");
  const bin = join(folder, "node_modules/node/bin");
  if (!existsSync(bin)) {
    mkdirSync(folder, { recursive: true });
    withNpm(folder, [NODE.package]);
  }
  return bin;
}

function run(program, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8", timeout: 600_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error ?? `${stdout}${stderr}`.trim().split("\n").slice(-3).join(" ")}`);
}
