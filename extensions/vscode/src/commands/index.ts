/** Every command of the extension, in one table. */
import * as vscode from "vscode";
import type { Parts } from "../extension";
import { showFailure } from "../failures";
import * as chat from "./chat";
import * as engine from "./engine";
import { explain } from "./explain";
import * as index from "./indexing";
import * as models from "./models";
import { search } from "./search";

type Command = (parts: Parts) => (...args: never[]) => unknown;

const COMMANDS: Record<string, Command> = {
  ask: chat.ask,
  askSelection: chat.askSelection,
  askFile: chat.askFile,
  newChat: chat.newChat,
  openConversation: chat.openConversation,
  renameConversation: chat.renameConversation,
  deleteConversation: chat.deleteConversation,
  exportConversation: chat.exportConversation,
  refreshConversations: (parts) => () => parts.conversations.refresh(),
  moreConversations: (parts) => () => parts.conversations.more(),
  search,
  explain,
  ingest: index.ingest,
  ingestResource: index.ingestResource,
  sync: index.sync,
  forget: index.forget,
  retryDocument: index.retryDocument,
  openExtractedText: index.openExtractedText,
  refreshDocuments: (parts) => () =>
    parts.ctx.engine.refresh().then(() => parts.documents.refresh()),
  moreDocuments: (parts) => (item) => parts.documents.more(item),
  models: models.choose,
  pullModel: models.pull,
  status: engine.status,
  doctor: engine.doctor,
  restart: engine.restart,
  showLog: engine.showLog,
  install: engine.install,
  startOllama: engine.startOllama,
};

export function registerCommands(parts: Parts): void {
  for (const [name, command] of Object.entries(COMMANDS)) {
    const run = command(parts) as (...args: unknown[]) => unknown;
    parts.ctx.push(
      vscode.commands.registerCommand(`allma.vscode.${name}`, async (...args: unknown[]) => {
        try {
          return await run(...args);
        } catch (error) {
          void showFailure(parts.ctx, error);
          return undefined;
        }
      }),
    );
  }
}
