// Builds the page into the server's package, where it is committed: the server installs without Node.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import esbuild from "esbuild";
import { icons } from "./icons.mjs";
import { notices } from "./notices.mjs";

const ROOT = join(import.meta.dirname, "..");
const PAGE = join(ROOT, "..", "..", "allma_server", "protocols", "http", "page");

process.chdir(ROOT);
rmSync(PAGE, { recursive: true, force: true });
mkdirSync(PAGE, { recursive: true });
const { metafile } = await esbuild.build({
  entryPoints: { page: "src/page/main.ts" },
  outdir: PAGE,
  bundle: true,
  minify: true,
  metafile: true,
  format: "iife",
  target: ["chrome123", "firefox121", "safari17.5"],
  plugins: [icons],
  logLevel: "warning",
  legalComments: "none",
});
copyFileSync("src/page/index.html", join(PAGE, "index.html"));
copyFileSync("../vscode/media/allma.svg", join(PAGE, "icon.svg"));
const bundled = { inputs: { ...metafile.inputs, "../node_modules/@vscode/codicons/": {} } };
writeFileSync(join(PAGE, "THIRD-PARTY-NOTICES.txt"), `${notices([bundled])}\n`);
writeFileSync(join(PAGE, "sources.json"), `${JSON.stringify(hashes(), null, 1)}\n`);

/** The hash of each source, by which a test without Node finds out that the page is not built. */
function hashes() {
  const own = Object.keys(metafile.inputs).filter((name) => /^(src|scripts)\//.test(name));
  const files = [...own, "src/page/index.html", "package.json"].sort();
  return Object.fromEntries(
    files.map((name) => [name, createHash("sha256").update(readFileSync(name)).digest("hex")]),
  );
}
