/** The settings of the extension, each with its type; nobody else reads the raw keys. */
import * as vscode from "vscode";

const SECTION = "allma";

/** Settings that are the server's: it takes them over the connection, when the user has set them. */
const SERVER_KEYS = ["chatModel", "topK", "indexWorkspaceFolders"] as const;

/** Settings the server has had from here, which it must be told when they are unset. */
const handedOver = new Set<string>();

const section = (scope?: vscode.ConfigurationScope) =>
  vscode.workspace.getConfiguration(SECTION, scope);

export const config = {
  get serverPath(): string {
    return section().get("server.path", "").trim();
  },
  get serverArguments(): string[] {
    return section().get("server.arguments", []);
  },
  get topK(): number {
    return section().get("topK", 5);
  },
  get mcpEnabled(): boolean {
    return section().get("mcp.enabled", true);
  },

  /** What the server is handed: nothing that was left at its default, so its own settings hold. */
  forServer(scope?: vscode.ConfigurationScope): Record<string, unknown> {
    const settings: Record<string, unknown> = {};
    for (const key of SERVER_KEYS) {
      const found = section(scope).inspect(key);
      const value =
        found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue ?? undefined;
      if (value !== undefined) {
        settings[key] = value;
        handedOver.add(key);
      } else if (handedOver.has(key)) settings[key] = found?.defaultValue;
    }
    if (!vscode.workspace.isTrusted) settings.indexWorkspaceFolders = false;
    return settings;
  },

  /** Whether a change needs another server process. */
  needsRestart(change: vscode.ConfigurationChangeEvent): boolean {
    return change.affectsConfiguration(`${SECTION}.server`);
  },
};
