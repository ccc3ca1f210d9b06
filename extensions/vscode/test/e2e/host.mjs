// Tests inside the real extension host, started like VS Code's own browser tests.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import esbuild from "esbuild";
import { Workbench } from "./workbench.mjs";

const ROOT = join(import.meta.dirname, "..", "..");
// Below node_modules: the bundle finds mocha there, and is not packaged.
const BUNDLE = join(ROOT, "node_modules", ".cache", "allma", "host.js");

export async function hostTests(ollama) {
  await esbuild.build({
    entryPoints: [join(import.meta.dirname, "host", "index.ts")],
    outfile: BUNDLE,
    bundle: true,
    platform: "node",
    format: "cjs",
    external: ["vscode", "mocha"],
    logLevel: "warning",
  });
  let exited;
  const log = [];
  const workbench = new Workbench({
    ollamaUrl: ollama.url,
    // Without the driver, the payload with the tests is ignored silently.
    arguments: ["--vscode-option", "enable-smoke-test-driver"],
    beforeLoad: async (page) => {
      await page.exposeFunction("codeAutomationLog", (_, args) => log.push(args.join(" ")));
      exited = new Promise((resolve) => {
        page.exposeFunction("codeAutomationExit", resolve);
      });
    },
  });
  const result = join(workbench.folder, "result.json");
  workbench.options.env = { TEST_RESULT: result };
  workbench.options.payload = (port) => {
    const at = (path) => `vscode-remote://127.0.0.1:${port}${path}`;
    return [
      ["extensionDevelopmentPath", at(ROOT)],
      ["extensionTestsPath", at(BUNDLE)],
      ["skipWelcome", "true"],
    ];
  };
  try {
    await workbench.start();
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error("the tests did not end in time")), 400_000).unref();
    });
    await Promise.race([exited, late]);
    const { lines } = JSON.parse(readFileSync(result, "utf8"));
    return lines;
  } catch (error) {
    await workbench.screenshot("host-failed");
    if (existsSync(result)) return JSON.parse(readFileSync(result, "utf8")).lines;
    return [`not ok tests in the extension host\n${error.stack}\n${log.slice(-40).join("\n")}`];
  } finally {
    await workbench.close();
  }
}
