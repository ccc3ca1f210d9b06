// The browser and the server that the tests of the page and of VS Code run.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";

const PYTHON = process.env.TEST_PYTHON ?? "python3";
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export const BROWSER_ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function browserPath() {
  return process.env.TEST_BROWSER ?? BROWSERS.find((path) => existsSync(path));
}

/** The absolute path of the server: the workbench replaces the PATH with a login shell's. */
export function serverProgram() {
  if (process.env.TEST_SERVER) return process.env.TEST_SERVER;
  const python = execFileSync(PYTHON, ["-c", "import sys; print(sys.executable)"]);
  return join(dirname(String(python).trim()), "allma-server");
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
