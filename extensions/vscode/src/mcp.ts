/** Offers Allma's tools to the editor's own chat: the same engine, over the Model Context Protocol. */
import * as vscode from "vscode";
import { config } from "./config";
import type { Ctx } from "./ctx";

export function offerMcpServer(ctx: Ctx): void {
  // Editors built on VS Code do not all have this interface.
  if (typeof vscode.lm?.registerMcpServerDefinitionProvider !== "function") return;
  const changed = new vscode.EventEmitter<void>();
  ctx.push(
    changed,
    ctx.onDidChangeConnection(() => changed.fire()),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("allma")) changed.fire();
    }),
    vscode.lm.registerMcpServerDefinitionProvider("allma.mcp", {
      onDidChangeMcpServerDefinitions: changed.event,
      provideMcpServerDefinitions: async () => {
        const found = config.mcpEnabled ? await ctx.locate() : null;
        if (!found) return [];
        const folders = vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders ?? []) : [];
        const args = [
          "mcp",
          ...folders.flatMap((folder) => ["--workspace", folder.uri.fsPath]),
          ...config.serverArguments,
        ];
        const { version } = ctx.extension.extension.packageJSON as { version: string };
        return [new vscode.McpStdioServerDefinition("Allma", found.command, args, {}, version)];
      },
    }),
  );
}
