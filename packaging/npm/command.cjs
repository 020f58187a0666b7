#!/usr/bin/env node
// Runs the program of wstap, which is in a package of its own for each platform.
"use strict";

const { spawn } = require("node:child_process");

const name = `@wstap/${process.platform}-${process.arch}`;
let program;
try {
  program = require.resolve(`${name}/wstap`);
} catch {
  console.error(
    `wstap has no program for ${process.platform} on ${process.arch}: the package ${name} is not installed.\n` +
      "It can be built from source with Rust: cargo install wstap",
  );
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// A terminal sends Ctrl-C to both; everything else is for the program.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`wstap cannot be run: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});
