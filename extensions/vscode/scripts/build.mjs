// Bundles the extension and its webview, and collects the licences of the bundled packages.
import { rmSync, writeFileSync } from "node:fs";
import esbuild from "esbuild";
import { notices } from "../../web/scripts/notices.mjs";

const production = process.argv.includes("--production");
const shared = {
  bundle: true,
  metafile: true,
  minify: production,
  sourcemap: !production,
  logLevel: "warning",
  legalComments: "none",
};
const builds = [
  {
    ...shared,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
  },
  {
    ...shared,
    entryPoints: { webview: "src/webview/main.ts" },
    outdir: "dist",
    platform: "browser",
    format: "iife",
    target: "chrome120",
    loader: { ".ttf": "file" },
    assetNames: "[name]",
  },
];

rmSync("dist", { recursive: true, force: true });
if (process.argv.includes("--watch")) {
  for (const options of builds) await (await esbuild.context(options)).watch();
} else {
  const results = await Promise.all(builds.map((options) => esbuild.build(options)));
  writeFileSync("dist/THIRD-PARTY-NOTICES.txt", notices(results.map((r) => r.metafile)));
}
