// A server with an indexed project, and a browser that uses its page.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { writeProject } from "./fixture.mjs";
import { scriptedOllama } from "./ollama.mjs";
import { BROWSER_ARGUMENTS, browserPath, freePort, serverProgram } from "./programs.mjs";

const run = promisify(execFile);

export class Site {
  /** Opens a site; the caller must `close` it. */
  static async open() {
    const site = new Site();
    try {
      await site.begin();
    } catch (error) {
      await site.close();
      throw error;
    }
    return site;
  }

  constructor() {
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), "allma-web-")));
    this.project = writeProject(join(this.folder, "harbor"));
    this.data = join(this.folder, "data");
    mkdirSync(this.data);
    /** Requests to other origins, and what the browser complains about. */
    this.complaints = [];
  }

  async begin() {
    this.ollama = await scriptedOllama();
    this.env = {
      ...Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^(ALLMA|OLLAMA)_/.test(name)),
      ),
      ALLMA_DATA_DIR: this.data,
      ALLMA_CONFIG: join(this.folder, "config.toml"),
      ALLMA_OLLAMA_URL: this.ollama.url,
    };
    this.port = await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    await this.allma("index", this.project);
    await this.serve();
    this.browser = await chromium.launch({
      executablePath: browserPath(),
      args: BROWSER_ARGUMENTS,
    });
  }

  /** Runs the shell's command; returns its result. */
  async allma(...args) {
    const { stdout } = await run(serverProgram(), [...args, "--json"], { env: this.env });
    return stdout ? JSON.parse(stdout) : null;
  }

  /** Runs `allma open`; returns the address of the file that it has a browser open. */
  async opened() {
    const browser = join(this.folder, "browser");
    writeFileSync(browser, `#!/bin/sh\nprintf %s "$1" > "${this.folder}/opened"\n`, {
      mode: 0o700,
    });
    const env = { ...this.env, BROWSER: `${browser} %s` };
    await run(serverProgram(), ["open"], { env });
    return readFileSync(join(this.folder, "opened"), "utf8");
  }

  /** Starts the server, and waits until it listens. */
  async serve() {
    this.server = spawn(serverProgram(), ["serve", "--port", String(this.port)], {
      env: this.env,
      stdio: ["ignore", "ignore", "inherit"],
    });
    for (let attempt = 0; attempt < 600; attempt++) {
      if ((await fetch(`${this.url}/health`).catch(() => null))?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the server did not start");
  }

  async stopServing() {
    const ended = once(this.server, "exit");
    this.server.kill("SIGTERM");
    await ended;
  }

  /** Opens a page for a new visitor. */
  async visitor(options = {}) {
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 860 },
      acceptDownloads: true,
      ...options,
    });
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    page.on("console", (message) => this.onConsole(message));
    page.on("pageerror", (error) => this.complaints.push(error.stack));
    page.on("request", (request) => {
      if (!/^(blob|data|file):/.test(request.url()) && !request.url().startsWith(this.url)) {
        this.complaints.push(`a request to ${request.url()}`);
      }
    });
    return page;
  }

  /** Opens a page for the owner, as `allma open` does. */
  async owner(options) {
    const page = await this.visitor(options);
    const { code } = await this.allma("login");
    await page.goto(`${this.url}/#code=${code}`);
    await page.getByLabel("Question", { exact: true }).waitFor();
    await page.getByText("Ask your folders and documents").waitFor();
    return page;
  }

  async screenshot(page, name) {
    const folder = process.env.TEST_SCREENSHOTS;
    if (folder) await page.screenshot({ path: join(folder, `web-${name}.png`) });
  }

  async close() {
    await this.browser?.close();
    if (this.server?.exitCode === null) await this.stopServing();
    if (this.env) await this.allma("daemon", "stop").catch(() => {});
    await this.ollama?.stop();
    if (!process.env.TEST_KEEP) rmSync(this.folder, { recursive: true, force: true });
  }

  onConsole(message) {
    // A refused or broken request is also shown by the page, and tested there.
    const isExpected = /Failed to load resource/.test(message.text());
    if (message.type() === "error" && !isExpected) this.complaints.push(message.text());
  }
}
