/** Typed getters for the extension's settings. No other module reads the raw keys. */
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
  /** The configured chat model; undefined if the server chooses one. */
  get chatModel(): string | undefined {
    const name = section().get("chatModel", "auto");
    return name === "auto" || name === "" ? undefined : name;
  },
  get mcpEnabled(): boolean {
    return section().get("mcp.enabled", true);
  },

  /** Settings for the server; null for those that are not set, so that the server's own apply. */
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

  /** Changes the configured chat model, in the scope where it is set. */
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

  /** Whether a change takes effect only after a restart of the server. */
  needsRestart(change: vscode.ConfigurationChangeEvent): boolean {
    return change.affectsConfiguration(`${SECTION}.server`);
  },
};
