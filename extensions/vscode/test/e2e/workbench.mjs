// The real workbench: code-server and a browser, with temporary folders.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { writeProject } from "../../../web/test/e2e/fixture.mjs";
import {
  BROWSER_ARGUMENTS,
  browserPath,
  freePort,
  serverProgram,
} from "../../../web/test/e2e/programs.mjs";
import { install } from "./install.mjs";

const ROOT = join(import.meta.dirname, "..", "..");
export const REPOSITORY = join(ROOT, "..", "..");
const PYTHON = process.env.TEST_PYTHON ?? "python3";
const SETTINGS = {
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "git.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
};

/** Starts the model server of the Python tests: `{url, stop}`. */
export async function startOllama() {
  // Limit the answer: a small model often does not stop by itself.
  const child = spawn(PYTHON, ["-m", "tests.ollama.server", "--max-answer", "300"], {
    cwd: REPOSITORY,
    stdio: ["ignore", "pipe", "ignore"],
  });
  process.once("exit", () => child.kill());
  const url = await new Promise((resolve, reject) => {
    child.stdout.once("data", (data) => resolve(String(data).trim()));
    child.once("exit", (code) => reject(new Error(`the model server ended with ${code}`)));
  });
  return { url, stop: () => stopped(child) };
}

/** Opens the workbench; the caller must `close` it. */
export class Workbench {
  static async open(options = {}) {
    const workbench = new Workbench(options);
    try {
      await workbench.start();
    } catch (error) {
      await workbench.close();
      throw error;
    }
    return workbench;
  }

  constructor(options) {
    this.options = options;
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), "allma-vscode-")));
    this.project = options.project ?? writeProject(join(this.folder, "harbor"));
    this.log = "";
    for (const name of ["ud/User", "ud/Machine", "extensions", "browser", "data"]) {
      mkdirSync(join(this.folder, name), { recursive: true });
    }
  }

  async start() {
    const { node, entry } = install();
    const { settings = {}, vsix, ollamaUrl, env = {}, size } = this.options;
    this.port = await freePort();
    const all = { ...SETTINGS, ...serverSettings(), ...settings };
    writeFileSync(join(this.folder, "ud/User/settings.json"), JSON.stringify(all));
    // The user's settings come late, or not at all, to a window that is reloaded under load.
    const own = Object.entries(all).filter(([name]) => name.startsWith("allma.server."));
    const machine = JSON.stringify(Object.fromEntries(own));
    writeFileSync(join(this.folder, "ud/Machine/settings.json"), machine);
    const common = [
      entry,
      "--user-data-dir",
      join(this.folder, "ud"),
      "--extensions-dir",
      join(this.folder, "extensions"),
      "--config",
      join(this.folder, "none.yaml"),
    ];
    const environment = {
      ...Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^(ALLMA|OLLAMA)_/.test(name)),
      ),
      ALLMA_DATA_DIR: join(this.folder, "data"),
      ALLMA_CONFIG: join(this.folder, "config.toml"),
      ALLMA_OLLAMA_URL: ollamaUrl ?? "http://127.0.0.1:9",
      ...env,
    };
    if (vsix) {
      const installing = spawn(node, [...common, "--install-extension", vsix, "--force"], {
        stdio: "ignore",
        env: environment,
      });
      const [code] = await once(installing, "exit");
      if (code !== 0) throw new Error(`the extension could not be installed (${code})`);
    }
    const trust = this.options.trust ? [] : ["--disable-workspace-trust"];
    this.server = spawn(
      node,
      [
        ...common,
        "--auth",
        "none",
        "--bind-addr",
        `127.0.0.1:${this.port}`,
        "--disable-telemetry",
        "--disable-update-check",
        "--disable-getting-started-override",
        "--ignore-last-opened",
        ...trust,
        ...(this.options.arguments ?? []),
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: environment, detached: true },
    );
    const group = this.server.pid;
    process.once("exit", () => endGroup(group));
    const log = (data) => {
      this.log += data;
    };
    this.server.stdout.on("data", log);
    this.server.stderr.on("data", log);
    await this.listening();
    this.browser = await chromium.launchPersistentContext(join(this.folder, "browser"), {
      executablePath: browserPath(),
      headless: true,
      viewport: size ?? { width: 1280, height: 860 },
      args: BROWSER_ARGUMENTS,
    });
    this.page = this.browser.pages()[0] ?? (await this.browser.newPage());
    await this.options.beforeLoad?.(this.page);
    const payload = this.options.payload?.(this.port);
    const query = payload ? `&payload=${encodeURIComponent(JSON.stringify(payload))}` : "";
    this.address = `http://127.0.0.1:${this.port}/?folder=${this.project}${query}`;
    await this.page.goto(this.address, { waitUntil: "domcontentloaded", timeout: 120_000 });
    await this.page.locator(".monaco-workbench").waitFor({ timeout: 120_000 });
  }

  async close() {
    await this.browser?.close();
    if (this.server) {
      await stopped(this.server);
      await groupEnded(this.server.pid);
      await this.stopEngine();
    }
    if (!process.env.TEST_KEEP) rmSync(this.folder, { recursive: true, force: true });
  }

  /** Stops the shared engine, which would outlive the editors, before its data is deleted. */
  async stopEngine() {
    const data = join(this.folder, "data");
    const stopping = spawn(serverProgram(), ["--data", data, "daemon", "stop"], {
      stdio: "ignore",
    });
    await once(stopping, "exit");
  }

  /** Runs a command from the palette; reopens the palette until the command is listed. */
  async command(label) {
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: label }).first();
    for (let attempt = 0; ; attempt++) {
      await this.page.keyboard.press("F1");
      const input = this.page.locator(".quick-input-widget input.input");
      try {
        await input.fill(`>${label}`, { timeout: 5_000 });
        await row.click({ timeout: 2_000 });
        return;
      } catch (error) {
        if (attempt > 20) throw error;
        await this.page.keyboard.press("Escape");
      }
    }
  }

  /** The chat view's webview. */
  get chat() {
    return this.webview('[src*="purpose=webviewView"]');
  }

  /** The chat in an editor tab. */
  get editorChat() {
    return this.webview(':not([src*="purpose=webviewView"])');
  }

  webview(which) {
    return this.page
      .frameLocator(`iframe.webview.ready[src*="extensionId=allma.allma"]${which}`)
      .frameLocator("iframe#active-frame");
  }

  async openChat() {
    await this.command("Allma: Ask a Question");
    await this.chat.getByLabel("Question", { exact: true }).waitFor({ timeout: 60_000 });
  }

  /** Waits until the status bar item shows `text`. */
  async status(text, timeout = 60_000) {
    const item = this.page.locator(".statusbar-item", { hasText: text }).first();
    await item.waitFor({ timeout });
    return item;
  }

  /**
   * Reloads the window once the browser has stored a text. The workbench stores its state every few
   * seconds, later under load; what it begins to store when the page is left may be lost.
   */
  async reload(text) {
    const end = Date.now() + 120_000;
    while (!(await this.page.evaluate(isStored, text))) {
      if (Date.now() > end) throw new Error(`not stored: ${text}`);
      await this.page.waitForTimeout(250);
    }
    await this.page.reload({ waitUntil: "domcontentloaded", timeout: 120_000 });
    await this.page.locator(".monaco-workbench").waitFor({ timeout: 120_000 });
  }

  async screenshot(name) {
    const folder = process.env.TEST_SCREENSHOTS;
    if (folder) await this.page.screenshot({ path: join(folder, `${name}.png`) });
  }

  async listening() {
    for (let attempt = 0; attempt < 300; attempt++) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/healthz`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`code-server did not start:\n${this.log.slice(-2000)}`);
  }
}

/** Runs in the page: whether the workbench's state in the browser's storage has a text. */
async function isStored(text) {
  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  for (const { name } of await indexedDB.databases()) {
    if (!name.startsWith("vscode-web-state-db")) continue;
    const database = await done(indexedDB.open(name));
    const values = await done(database.transaction("ItemTable").objectStore("ItemTable").getAll());
    database.close();
    if (values.some((value) => String(value).includes(text))) return true;
  }
  return false;
}

function serverSettings() {
  return {
    "allma.server.path": serverProgram(),
    "allma.server.arguments": (process.env.TEST_SERVER_ARGUMENTS ?? "").split(" ").filter(Boolean),
  };
}

async function stopped(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(late);
}

function endGroup(group) {
  try {
    process.kill(-group, "SIGTERM");
  } catch {} // it has already ended
}

/** Waits until a process group has ended: the extension host outlives its server briefly. */
async function groupEnded(group) {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      process.kill(-group, attempt === 80 ? "SIGKILL" : 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
