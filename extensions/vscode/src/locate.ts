/** Finds the server's program: the setting, then the workspace's Python, then the PATH. */
import * as path from "node:path";

export interface Places {
  /** The setting `allma.server.path`, empty when unset. */
  setting: string;
  /** Python interpreters or environment folders of this workspace, the best first. */
  environments: readonly string[];
  PATH: string;
  home: string;
  workspaceFolder: string | undefined;
  platform: NodeJS.Platform;
  isFile: (path: string) => boolean;
}

export interface Found {
  command: string;
  from: "setting" | "environment" | "path";
}

/** Where the program is; null when it is nowhere. A setting that names no file is not made up for. */
export function locate(places: Places): Found | null {
  const p = places.platform === "win32" ? path.win32 : path.posix;
  const program = places.platform === "win32" ? "allma-server.exe" : "allma-server";
  if (places.setting) {
    const command = expand(places.setting, places, p);
    const isBareName = !/[\\/]/.test(command);
    if (!isBareName) return places.isFile(command) ? { command, from: "setting" } : null;
    const found = onPath(command, places, p);
    return found ? { command: found, from: "setting" } : null;
  }
  for (const environment of places.environments) {
    const scripts = places.platform === "win32" ? "Scripts" : "bin";
    for (const folder of [p.dirname(environment), p.join(environment, scripts)]) {
      const command = p.join(folder, program);
      if (places.isFile(command)) return { command, from: "environment" };
    }
  }
  const command = onPath(program, places, p);
  return command ? { command, from: "path" } : null;
}

function onPath(program: string, places: Places, p: path.PlatformPath): string | undefined {
  // Editors started from a desktop get a short PATH, without the folders that pipx and uv use.
  const usual =
    places.platform === "win32"
      ? [p.join(places.home, ".local", "bin")]
      : [p.join(places.home, ".local", "bin"), "/opt/homebrew/bin", "/usr/local/bin"];
  return [...places.PATH.split(p.delimiter), ...usual]
    .filter((folder) => p.isAbsolute(folder))
    .map((folder) => p.join(folder, program))
    .find(places.isFile);
}

function expand(setting: string, places: Places, p: path.PlatformPath): string {
  const tilde = setting.replace(/^~(?=[\\/]|$)/, () => places.home);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: what people write in settings
  const full = tilde.replaceAll("${workspaceFolder}", () => places.workspaceFolder ?? "");
  return /[\\/]/.test(full) ? p.normalize(full) : full;
}
