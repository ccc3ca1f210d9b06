/** The table of all commands, and their registration. */
import * as vscode from "vscode";
import { showFailure } from "../failures";
import * as chat from "./chat";
import type { CommandContext } from "./context";
import * as engine from "./engine";
import { explain } from "./explain";
import * as index from "./indexing";
import * as models from "./models";
import { search } from "./search";
import { serverSettings } from "./settings";

type Command = (context: CommandContext) => (...args: never[]) => unknown;

const COMMANDS: Record<string, Command> = {
  ask: chat.ask,
  askSelection: chat.askSelection,
  askFile: chat.askFile,
  newChat: chat.newChat,
  openEditor: chat.openEditor,
  openConversation: chat.openConversation,
  renameConversation: chat.renameConversation,
  deleteConversation: chat.deleteConversation,
  exportConversation: chat.exportConversation,
  refreshConversations: (context) => () => context.conversations.refresh(),
  moreConversations: (context) => () => context.conversations.more(),
  search,
  explain,
  ingest: index.ingest,
  ingestResource: index.ingestResource,
  sync: index.sync,
  forget: index.forget,
  retryDocument: index.retryDocument,
  openExtractedText: index.openExtractedText,
  refreshDocuments: (context) => () =>
    context.ctx.engine.refresh().then(() => context.documents.refresh()),
  moreDocuments: (context) => (item) => context.documents.more(item),
  models: models.choose,
  pullModel: models.pull,
  status: engine.status,
  doctor: engine.doctor,
  serverSettings,
  walkthrough: engine.walkthrough,
  restart: engine.restart,
  showLog: engine.showLog,
  install: engine.install,
  startOllama: engine.startOllama,
};

export function registerCommands(context: CommandContext): void {
  for (const [name, command] of Object.entries(COMMANDS)) {
    const run = command(context) as (...args: unknown[]) => unknown;
    context.ctx.push(
      vscode.commands.registerCommand(`allma.vscode.${name}`, async (...args: unknown[]) => {
        try {
          return await run(...args);
        } catch (error) {
          void showFailure(context.ctx.log, error);
          return undefined;
        }
      }),
    );
  }
}
