/** Entry points of the extension: `activate` registers everything it contributes. */
import * as vscode from "vscode";
import { ChatView } from "./chat/view";
import { registerCommands } from "./commands";
import type { CommandContext } from "./commands/context";
import { config } from "./config";
import { Conversations } from "./conversations";
import { Ctx } from "./ctx";
import { Documents } from "./documents";
import { onDidChangeEnvironment } from "./environments";
import { NotRunning, showFailure } from "./failures";
import { registerMcpServer } from "./mcp";
import { registerParticipant } from "./participant";
import { Report } from "./report";
import { createStatusItem } from "./status";

let ctx: Ctx | undefined;

export async function activate(extension: vscode.ExtensionContext): Promise<CommandContext> {
  ctx = new Ctx(extension);
  const report = new Report();
  ctx.push(report.registration);
  const context: CommandContext = {
    ctx,
    chat: new ChatView(ctx),
    conversations: new Conversations(ctx),
    documents: new Documents(ctx),
    report,
  };
  registerCommands(context);
  createStatusItem(ctx);
  registerMcpServer(ctx);
  registerParticipant(ctx);
  reportMissingServer(ctx);
  await restartOnChange(ctx);
  ctx.push(
    context.chat.onDidWrite(() => context.conversations.refresh()),
    context.chat.onDidSelect((id) => context.conversations.onChat(id)),
    ctx.onDidChangeConnection(() => void context.ctx.engine.refresh()),
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused) void onReturn(context.ctx);
    }),
  );
  void ctx.restart();
  return context;
}

export async function deactivate(): Promise<void> {
  await ctx?.dispose();
  ctx = undefined;
}

/** The user returns to the window, perhaps from installing the server in a terminal. */
async function onReturn(ctx: Ctx): Promise<void> {
  if (ctx.connection.state === "missing" && (await ctx.locate())) await ctx.restart();
  else await ctx.engine.refresh();
}

/** Shows once that the server was not found, with a button that explains how to install it. */
function reportMissingServer(ctx: Ctx): void {
  const listening = ctx.onDidChangeConnection((connection) => {
    if (connection.state !== "missing") return;
    listening.dispose();
    void showFailure(ctx.log, new NotRunning(connection));
  });
  ctx.push(listening);
}

async function restartOnChange(ctx: Ctx): Promise<void> {
  ctx.push(
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (config.needsRestart(change)) void ctx.restart();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void ctx.restart()),
    await onDidChangeEnvironment(() => {
      // With an explicit path, the environment does not decide which server is started.
      if (!config.serverPath) void ctx.restart();
    }),
  );
}
