// Runs the tests in the real workbench: `node test/run.mjs [mcp] [missing] [trust] [host] [ui]`, in
// this order; `install` only downloads the workbench.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { hostTests } from "./e2e/host.mjs";
import { install } from "./e2e/install.mjs";
import { mcpTests } from "./e2e/mcp.mjs";
import { missingTests } from "./e2e/missing.mjs";
import { trustTests } from "./e2e/trust.mjs";
import { uiTests } from "./e2e/ui.mjs";
import { startOllama } from "./e2e/workbench.mjs";

const ROOT = join(import.meta.dirname, "..");
const VSIX = join(ROOT, "allma.vsix");
const names = process.argv.slice(2);
const isWanted = (name) => names.length === 0 || names.includes(name);

if (names.join() === "install") {
  install();
  process.exit();
}
// Exit normally on a signal, so that exit handlers end the child processes.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
execFileSync("npm", ["run", "--silent", "package"], { cwd: ROOT, stdio: "ignore" });

// `ui` is last, because it stops the model server.
const suites = {
  mcp: () => mcpTests(VSIX),
  missing: () => missingTests(VSIX),
  trust: () => trustTests(VSIX),
  host: () => hostTests(ollama),
  ui: () => uiTests(VSIX, ollama),
};
const ollama = await startOllama();
const results = [];
try {
  for (const [name, run] of Object.entries(suites)) {
    if (!isWanted(name)) continue;
    const began = Date.now();
    const lines = await run();
    for (const line of lines) console.log(line);
    console.log(`# ${name}: ${((Date.now() - began) / 1000).toFixed(0)} s`);
    results.push(...lines);
  }
} finally {
  await ollama.stop();
}
const failed = results.filter((line) => line.startsWith("not ok")).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
