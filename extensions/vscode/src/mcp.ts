/** Registers Allma's MCP server, which gives the editor's chat the tools of the same engine. */
import * as vscode from "vscode";
import { config } from "./config";
import type { Ctx } from "./ctx";

export function registerMcpServer(ctx: Ctx): void {
  // Not every editor built on VS Code has this API.
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
