// Applications from PyPI.

import { join } from "node:path";

import { shows } from "../browser.mjs";

export const python = [
  {
    name: "FastAPI",
    ci: true,
    pip: ["fastapi==0.165.0", "uvicorn[standard]==0.54.0"],
    start: ({ port, programs }) => ({ command: ["uvicorn", "--app-dir", programs, "fastapi_app:app", "--host", "127.0.0.1", "--port", port] }),
    works: "an absolute redirect to the page, an echo over a WebSocket, an answer token by token",
    use: async ({ visit, mark }) => {
      const page = await visit("/chat");
      await page.fill("#text", mark);
      await page.click("#send");
      await shows(page, `echo ${mark}`);
      await page.click("#ask");
      await shows(page, `answer to ${mark} is over`);
      return { path: new URL(page.url()).pathname, host: await page.evaluate(() => location.origin) };
    },
    tap: [
      { path: /^\/ws$/, both: true },
      { path: /^\/tokens/, transport: "sse" },
    ],
  },
  {
    name: "Django",
    pip: ["django==5.2.19", "channels==4.3.2", "daphne==4.2.3"],
    start: ({ port, programs }) => ({ command: ["daphne", "-b", "127.0.0.1", "-p", port, "django_app:application"], env: { PYTHONPATH: programs } }),
    works: "a form with its CSRF check, a consumer behind `AllowedHostsOriginValidator`",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.fill("#name", mark);
      await page.click("#submit");
      await shows(page, `posted ${mark}`);
      await page.fill("#text", mark);
      await page.click("#send");
      await shows(page, `consumer ${mark}`);
    },
    tap: [{ path: /^\/ws\/chat\/$/, both: true }],
  },
  {
    name: "Bokeh",
    pip: ["bokeh==3.9.2"],
    start: ({ port, programs }) => ({ command: ["bokeh", "serve", "--address", "127.0.0.1", "--port", port, join(programs, "bokeh_app.py")] }),
    ready: "/bokeh_app",
    works: "an input is answered by a callback on the server",
    use: async ({ visit, mark }) => {
      const page = await visit("/bokeh_app");
      await page.locator("input").fill(mark);
      await page.keyboard.press("Enter");
      await page.getByText(`callback ${mark}`).waitFor();
    },
    tap: [{ path: /^\/bokeh_app\/ws$/, subprotocol: "bokeh", both: true }],
  },
  {
    name: "NiceGUI",
    pip: ["nicegui==3.18.0"],
    start: ({ port, programs }) => ({ command: ["python", join(programs, "nicegui_app.py"), port] }),
    works: "an input bound to a label on the server",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.locator("input").fill(mark);
      await page.getByText(`label ${mark}`).waitFor();
    },
    tap: [{ path: /^\/_nicegui_ws\/socket\.io/, both: true }],
  },
  {
    name: "JupyterLab",
    pip: ["jupyterlab==4.6.6"],
    start: ({ port, folder }) => ({
      command: ["jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", `--port=${port}`, "--IdentityProvider.token=a-token", `--ServerApp.root_dir=${folder}`],
      env: { JUPYTER_CONFIG_DIR: folder, JUPYTER_DATA_DIR: folder, JUPYTER_RUNTIME_DIR: folder, IPYTHONDIR: folder },
    }),
    ready: "/api",
    works: "a notebook is made, its cell runs in a kernel",
    use: async ({ visit, mark }) => {
      const page = await visit("/lab?token=a-token&reset");
      await page.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
      await page.locator(".jp-Notebook .cm-content").first().click();
      await page.locator('.jp-Toolbar-kernelStatus[data-status="idle"], .jp-Notebook-ExecutionIndicator[data-status="idle"]').first().waitFor();
      await page.keyboard.type(`print("cell", "${mark}"[::-1])`);
      await page.keyboard.press("Shift+Enter");
      await page.locator(".jp-OutputArea-output", { hasText: `cell ${[...mark].reverse().join("")}` }).waitFor();
    },
    tap: [
      { path: /^\/api\/kernels\/.*\/channels/, subprotocol: "v1.kernel.websocket.jupyter.org", both: true },
      { path: /^\/api\/events\/subscribe/, text: null },
    ],
  },
  {
    name: "Streamlit",
    pip: ["streamlit==1.67.0"],
    start: ({ port, programs, folder }) => ({
      command: ["streamlit", "run", join(programs, "streamlit_app.py"), "--server.address=127.0.0.1", `--server.port=${port}`, "--server.headless=true", "--browser.gatherUsageStats=false"],
      env: { HOME: folder },
    }),
    ready: "/_stcore/health",
    works: "an input runs the script again",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.getByLabel("Word").fill(mark);
      await page.keyboard.press("Enter");
      await page.getByText(`script ${mark}`).waitFor();
    },
    tap: [{ path: /^\/_stcore\/stream/, subprotocol: "streamlit", both: true }],
  },
  {
    name: "Gradio",
    pip: ["gradio==6.31.0"],
    start: ({ port, programs, folder }) => ({ command: ["python", join(programs, "gradio_app.py"), port], env: { HOME: folder, GRADIO_ANALYTICS_ENABLED: "False", HF_HUB_OFFLINE: "1" } }),
    works: "a function is called and streams its result",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.getByLabel("word").fill(mark);
      await page.getByRole("button", { name: "Submit" }).click();
      await page.waitForFunction((wanted) => [...document.querySelectorAll("textarea")].some((area) => area.value === wanted), `function ${mark}`);
    },
    tap: [{ path: /^\/gradio_api\/queue\/data/, transport: "sse" }],
  },
  {
    name: "marimo",
    pip: ["marimo==0.25.2"],
    start: ({ port, programs, folder }) => ({
      command: ["marimo", "run", join(programs, "marimo_app.py"), "--headless", "--host", "127.0.0.1", "--port", port],
      env: { HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder, XDG_STATE_HOME: folder },
    }),
    ready: "/health",
    works: "an input runs the cells that depend on it",
    use: async ({ visit, mark }) => {
      const page = await visit("/");
      await page.getByText("cell nothing").waitFor();
      await page.locator("input[type=text]").first().fill(mark);
      await page.keyboard.press("Enter");
      await page.getByText(`cell ${mark}`).waitFor();
    },
    tap: [{ path: /^\/ws/ }],
  },
];
