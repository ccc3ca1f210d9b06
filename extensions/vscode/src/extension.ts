/** What the editor calls when the extension comes and goes; the list of everything it adds. */
import * as vscode from "vscode";
import { ChatView } from "./chat/view";
import { registerCommands } from "./commands";
import { config } from "./config";
import { Conversations } from "./conversations";
import { Ctx, NotRunning } from "./ctx";
import { Documents } from "./documents";
import { onDidChangeEnvironment } from "./environments";
import { showFailure } from "./failures";
import { offerMcpServer } from "./mcp";
import { offerParticipant } from "./participant";
import { Report } from "./report";
import { showStatus } from "./status";

/** What commands work with. */
export interface Parts {
  ctx: Ctx;
  chat: ChatView;
  conversations: Conversations;
  documents: Documents;
  report: Report;
}

let ctx: Ctx | undefined;

export async function activate(extension: vscode.ExtensionContext): Promise<Parts> {
  ctx = new Ctx(extension);
  const report = new Report();
  ctx.push(report.registration);
  const parts: Parts = {
    ctx,
    chat: new ChatView(ctx),
    conversations: new Conversations(ctx),
    documents: new Documents(ctx),
    report,
  };
  registerCommands(parts);
  showStatus(ctx);
  offerMcpServer(ctx);
  offerParticipant(ctx);
  tellWhenMissing(ctx);
  await restartWhenNeeded(ctx);
  ctx.push(
    parts.chat.onDidWrite(() => parts.conversations.refresh()),
    parts.chat.onDidSelect((id) => parts.conversations.onChat(id)),
    ctx.onDidChangeConnection(() => void parts.ctx.engine.refresh()),
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused) void parts.ctx.engine.refresh();
    }),
  );
  void ctx.restart();
  return parts;
}

export async function deactivate(): Promise<void> {
  await ctx?.dispose();
  ctx = undefined;
}

/** Says once that there is no server, with the way to get it. */
function tellWhenMissing(ctx: Ctx): void {
  const listening = ctx.onDidChangeConnection((connection) => {
    if (connection.state !== "missing") return;
    listening.dispose();
    void showFailure(ctx, new NotRunning(connection));
  });
  ctx.push(listening);
}

async function restartWhenNeeded(ctx: Ctx): Promise<void> {
  ctx.push(
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (config.needsRestart(change)) void ctx.restart();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void ctx.restart()),
    await onDidChangeEnvironment(() => {
      // A server that was found elsewhere does not depend on the environment.
      if (!config.serverPath) void ctx.restart();
    }),
  );
}
