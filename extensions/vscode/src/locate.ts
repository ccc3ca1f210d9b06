/** Finds the server's program: from the setting, the workspace's Python environment, or the PATH. */
import * as path from "node:path";

export interface LocateOptions {
  /** The setting `allma.server.path`; empty if unset. */
  setting: string;
  /** Python interpreters or environment folders of this workspace, in order of preference. */
  environments: readonly string[];
  PATH: string;
  home: string;
  workspaceFolder: string | undefined;
  platform: NodeJS.Platform;
  isFile: (path: string) => boolean;
}

export interface ServerProgram {
  command: string;
  from: "setting" | "environment" | "path";
}

/** The program; null if it was not found. There is no fallback for a wrong setting. */
export function locate(options: LocateOptions): ServerProgram | null {
  const p = options.platform === "win32" ? path.win32 : path.posix;
  const program = options.platform === "win32" ? "allma-server.exe" : "allma-server";
  if (options.setting) {
    const command = expand(options.setting, options, p);
    const isBareName = !/[\\/]/.test(command);
    if (!isBareName) return options.isFile(command) ? { command, from: "setting" } : null;
    const found = onPath(command, options, p);
    return found ? { command: found, from: "setting" } : null;
  }
  for (const environment of options.environments) {
    const scripts = options.platform === "win32" ? "Scripts" : "bin";
    for (const folder of [p.dirname(environment), p.join(environment, scripts)]) {
      const command = p.join(folder, program);
      if (options.isFile(command)) return { command, from: "environment" };
    }
  }
  const command = onPath(program, options, p);
  return command ? { command, from: "path" } : null;
}

function onPath(program: string, options: LocateOptions, p: path.PlatformPath): string | undefined {
  // Editors started from a desktop have a short PATH, without the folders of pipx and uv.
  const usual =
    options.platform === "win32"
      ? [p.join(options.home, ".local", "bin")]
      : [p.join(options.home, ".local", "bin"), "/opt/homebrew/bin", "/usr/local/bin"];
  return [...options.PATH.split(p.delimiter), ...usual]
    .filter((folder) => p.isAbsolute(folder))
    .map((folder) => p.join(folder, program))
    .find(options.isFile);
}

function expand(setting: string, options: LocateOptions, p: path.PlatformPath): string {
  const tilde = setting.replace(/^~(?=[\\/]|$)/, () => options.home);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder that users write in settings
  const full = tilde.replaceAll("${workspaceFolder}", () => options.workspaceFolder ?? "");
  return /[\\/]/.test(full) ? p.normalize(full) : full;
}
