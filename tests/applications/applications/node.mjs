// Applications from npm.

import { cpSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { shows } from "../browser.mjs";

/** A copy of a project, which the steps change, beside the installed modules. */
function project({ programs, folder, modules }, name) {
  const copy = join(folder, name);
  rmSync(copy, { recursive: true, force: true });
  cpSync(join(programs, name), copy, { recursive: true });
  symlinkSync(join(modules, "node_modules"), join(copy, "node_modules"));
  return copy;
}

export const node = [
  {
    name: "Node-RED",
    npm: ["node-red@5.0.7"],
    start: ({ port, folder, programs }) => {
      const home = join(folder, "home");
      rmSync(home, { recursive: true, force: true });
      cpSync(join(programs, "node-red"), home, { recursive: true });
      return { command: ["node-red", "--userDir", home, "--port", port, "-D", "uiHost=127.0.0.1", "flows.json"] };
    },
    works: "the editor deploys, a node is injected, its debug message is in the sidebar",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.locator("#red-ui-workspace-chart .red-ui-flow-node-button").first().waitFor();
      for (const close of await page.locator(".red-ui-tourGuide-popover button, .red-ui-notification button").all()) await close.click().catch(() => {});
      // The name of the node is what it sends.
      await page.evaluate((payload) => {
        const inject = RED.nodes.node("inject1");
        inject.props = [{ p: "payload", v: payload, vt: "str" }];
        inject.payload = payload;
        inject.changed = true;
        inject.dirty = true;
        RED.nodes.dirty(true);
        RED.view.redraw(true);
      }, mark);
      await page.locator("#red-ui-header-button-deploy").click();
      await page.waitForFunction(() => !RED.nodes.dirty());
      await page.evaluate(() => RED.sidebar.show("debug"));
      await page.evaluate(() => fetch("inject/inject1", { method: "POST" }));
      await page.locator(".red-ui-debug-msg", { hasText: mark }).first().waitFor();
    },
    tap: [{ path: /^\/comms$/ }],
  },
  {
    name: "Vite",
    ci: true,
    npm: ["vite@8.4.0"],
    start: (given) => ({ command: ["vite", project(given, "vite"), "--host", "127.0.0.1", "--port", given.port, "--strictPort"] }),
    works: "a module is replaced without a reload of the page",
    use: async ({ visit, mark, folder }) => {
      const module = join(folder, "vite", "word.js");
      const page = await visit("/");
      await page.locator("p").waitFor();
      await shows(page, "word ");
      await page.evaluate(() => { window.same = true; });
      writeFileSync(module, `export const word = "${mark}";\n`);
      await shows(page, `word ${mark}`);
      return { same: await page.evaluate(() => window.same) };
    },
    tap: [{ path: /^\/\?token=/, subprotocol: "vite-hmr", text: () => "/word.js" }],
  },
  {
    name: "Next",
    npm: ["next@16.4.6", "react@19.3.1", "react-dom@19.3.1"],
    start: (given) => ({ command: ["next", "dev", "--webpack", "--hostname", "127.0.0.1", "--port", given.port], cwd: project(given, "next"), env: { NEXT_TELEMETRY_DISABLED: "1" } }),
    works: "a component is replaced without a reload of the page",
    use: async ({ visit, mark, folder }) => {
      const page = await visit("/");
      await shows(page, "word ");
      await page.locator("body[data-mounted]").waitFor();
      await page.evaluate(() => { window.same = true; });
      writeFileSync(join(folder, "next", "app", "word.js"), `export const word = "${mark}";\n`);
      await shows(page, `word ${mark}`);
      return { same: await page.evaluate(() => window.same) };
    },
    tap: [{ path: /^\/_next\/.*hmr/, text: () => '"hash"' }],
  },
  {
    name: "webpack-dev-server",
    npm: ["webpack-dev-server@6.1.0", "webpack@5.113.0", "webpack-cli@7.3.1"],
    start: (given) => ({ command: ["webpack", "serve", "--mode", "development", "--host", "127.0.0.1", "--port", given.port, "--client-web-socket-url", "auto://0.0.0.0:0/ws"], cwd: project(given, "webpack") }),
    works: "a module is replaced without a reload of the page; with `client.webSocketURL` as `auto://0.0.0.0:0/ws`, since by default the page has the port of webpack built in and connects past wstap",
    use: async ({ visit, mark, folder }) => {
      const page = await visit("/");
      await shows(page, "word ");
      await page.evaluate(() => { window.same = true; });
      writeFileSync(join(folder, "webpack", "src", "word.js"), `export const word = "${mark}";\n`);
      await shows(page, `word ${mark}`);
      return { same: await page.evaluate(() => window.same) };
    },
    tap: [{ path: /^\/ws$/, text: () => '"hash"' }],
  },
  {
    name: "Socket.IO",
    ci: true,
    npm: ["socket.io@4.8.4"],
    start: ({ port, programs, modules }) => ({ command: ["node", join(programs, "socketio.cjs"), port], env: { NODE_PATH: join(modules, "node_modules") } }),
    works: "long polling, the upgrade to a WebSocket, an acknowledgement, binary data",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.waitForFunction(() => socket.connected && socket.io.engine.transport.name === "websocket");
      await page.fill("#text", mark);
      await page.click("#send");
      await shows(page, `acknowledged ${mark}`);
      await shows(page, `bytes ${[...mark].reverse().join("")}`);
    },
    tap: [{ path: /^\/socket\.io\//, both: true }],
  },
];
