/** The settings of the extension, each with its type; nobody else reads the raw keys. */
import * as vscode from "vscode";
import { SERVER_SETTINGS } from "./protocol";

const SECTION = "allma";

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
  /** The model that the settings name; undefined where the server chooses. */
  get chatModel(): string | undefined {
    const name = section().get("chatModel", "auto");
    return name === "auto" || name === "" ? undefined : name;
  },
  get mcpEnabled(): boolean {
    return section().get("mcp.enabled", true);
  },

  /** What the server is handed; null where nothing is set, so that its own settings hold. */
  forServer(scope?: vscode.ConfigurationScope): Record<string, unknown> {
    const settings: Record<string, unknown> = {};
    for (const key of SERVER_SETTINGS) {
      const found = section(scope).inspect(key);
      settings[key] =
        found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue ?? null;
    }
    if (!vscode.workspace.isTrusted) settings.indexWorkspaceFolders = false;
    return settings;
  },

  /** Has another model answer, where the settings name one: theirs comes before any choice. */
  async setChatModel(name: string): Promise<void> {
    const found = section().inspect("chatModel");
    const { Global, Workspace, WorkspaceFolder } = vscode.ConfigurationTarget;
    const target =
      found?.workspaceFolderValue !== undefined
        ? WorkspaceFolder
        : found?.workspaceValue !== undefined
          ? Workspace
          : Global;
    await section().update("chatModel", name, target);
  },

  /** Whether a change needs another server process. */
  needsRestart(change: vscode.ConfigurationChangeEvent): boolean {
    return change.affectsConfiguration(`${SECTION}.server`);
  },
};
