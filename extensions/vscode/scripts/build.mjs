// Bundles the extension and its webview, and collects the licences of the bundled packages.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import esbuild from "esbuild";

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

function notices(metafiles) {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const packages = new Set(
    inputs.flatMap((input) => input.match(/.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []),
  );
  return [...packages]
    .sort()
    .map(notice)
    .join(`\n\n${"-".repeat(80)}\n\n`);
}

function notice(folder) {
  const { name, version, license } = JSON.parse(
    readFileSync(path.join(folder, "package.json"), "utf8"),
  );
  const text = ["LICENSE", "LICENSE.md", "LICENSE.txt", "License.txt", "license", "LICENSE-MIT"]
    .map((file) => path.join(folder, file))
    .flatMap((file) => {
      try {
        return [readFileSync(file, "utf8").trim()];
      } catch {
        return [];
      }
    })[0];
  if (!text) console.warn(`${name} has no licence file; it declares ${license}.`);
  return `${name} ${version} (${license})\n\n${text ?? ""}`;
}
