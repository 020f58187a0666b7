// Runs the suite in a page, with the module of a real server of another origin, and reports.

import { run } from "./suite.mjs";

const tap = new URLSearchParams(location.search).get("tap");
const post = (body) => fetch("/results", { method: "POST", body: JSON.stringify(body) });
try {
  const module = await import(`${tap}/wstap.js`);
  const unhandled = [];
  addEventListener("unhandledrejection", ({ reason }) => unhandled.push(String(reason)));
  await post({ agent: navigator.userAgent, results: await run({ ...module, tap, peer: location.origin, unhandled }) });
} catch (error) {
  await post({ agent: navigator.userAgent, results: [{ name: "the suite starts", fault: `${error}\n${error.stack}` }] });
}
