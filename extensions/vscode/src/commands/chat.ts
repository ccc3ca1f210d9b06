/** Commands for questions and conversations. */

import { ago } from "@allma/web/chat/ago";
import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import type { DocumentItem } from "../documents";
import * as rpc from "../protocol";
import type { CommandContext } from "./context";
import { pickAsYouType } from "./pick";

export const ask = (context: CommandContext) => async (question?: string) => {
  if (typeof question === "string" && question.trim()) await context.chat.ask(question);
  else await context.chat.focus();
};

export const askSelection = (context: CommandContext) => async () => {
  const editor = vscode.window.activeTextEditor;
  if (!editor || editor.selection.isEmpty) {
    void vscode.window.showInformationMessage("Select the text to ask about first.");
    return;
  }
  context.chat.attaching.selection(editor);
  await context.chat.focus();
};

export const askFile = (context: CommandContext) => async (target?: vscode.Uri | DocumentItem) => {
  const uri = uriOf(target) ?? vscode.window.activeTextEditor?.document.uri;
  if (uri?.scheme !== "file") return;
  await Promise.all([context.chat.attaching.scope(uri), context.chat.focus()]);
};

export const openEditor = (context: CommandContext) => () => context.chat.openEditor();

export const newChat = (context: CommandContext) => async () => {
  await Promise.all([context.chat.session.select(undefined), context.chat.focus()]);
};

export const openConversation = (context: CommandContext) => async (chosen?: rpc.Conversation) => {
  const conversation = chosen ?? (await pickConversation(context.ctx));
  if (!conversation) return;
  // Select before the view appears, so that a question typed meanwhile belongs to it.
  await Promise.all([context.chat.session.select(conversation.id), context.chat.focus()]);
};

export const renameConversation =
  (context: CommandContext) => async (chosen?: rpc.Conversation) => {
    const conversation = await targetConversation(context, chosen);
    if (!conversation) return;
    const title = await vscode.window.showInputBox({
      title: "Rename Conversation",
      value: conversation.title,
      validateInput: (value) => (value.trim() ? undefined : "A title needs at least one word."),
    });
    if (!title || title === conversation.title) return;
    await context.ctx.request(rpc.conversationsRename, { id: conversation.id, title });
    await reloadConversations(context);
  };

export const deleteConversation =
  (context: CommandContext) => async (chosen?: rpc.Conversation) => {
    const conversation = await targetConversation(context, chosen);
    if (!conversation) return;
    const confirmed = await vscode.window.showWarningMessage(
      `Delete “${conversation.title}”?`,
      { modal: true, detail: "Its messages are deleted for all editors and clients." },
      "Delete",
    );
    if (confirmed !== "Delete") return;
    if (conversation.id === context.chat.session.id) await context.chat.session.select(undefined);
    await context.ctx.request(rpc.conversationsDelete, { id: conversation.id });
    await reloadConversations(context);
  };

export const exportConversation =
  (context: CommandContext) => async (chosen?: rpc.Conversation) => {
    const conversation = await targetConversation(context, chosen);
    if (!conversation) return;
    const { markdown } = await context.ctx.request(rpc.conversationsExport, {
      id: conversation.id,
    });
    const document = await vscode.workspace.openTextDocument({
      language: "markdown",
      content: markdown,
    });
    await vscode.window.showTextDocument(document);
  };

async function reloadConversations({ chat, conversations }: CommandContext): Promise<void> {
  conversations.refresh();
  await chat.session.reload();
}

/** The conversation of the menu, else the one selected in the list, else that of the chat. */
async function targetConversation(
  { ctx, chat, conversations }: CommandContext,
  chosen: rpc.Conversation | undefined,
): Promise<rpc.Conversation | undefined> {
  if (chosen && typeof chosen === "object" && "messageCount" in chosen) return chosen;
  if (conversations.selected) return conversations.selected;
  if (chat.session.id) return ctx.request(rpc.conversationsShow, { id: chat.session.id });
  return pickConversation(ctx);
}

function pickConversation(ctx: Ctx): Promise<rpc.Conversation | undefined> {
  return pickAsYouType<rpc.Conversation>({
    title: "Conversations",
    placeholder: "Words in a title or in the text",
    find: async (query, token) => {
      const page = await ctx.request(
        rpc.conversationsList,
        { query: query.trim() || undefined, limit: 50 },
        token,
      );
      const choices = page.conversations.map((conversation) => ({
        label: conversation.title,
        description: `${ago(conversation.updatedAt)}, ${conversation.messageCount} messages`,
        value: conversation,
      }));
      const label = query.trim()
        ? "No conversation contains these words."
        : "No conversations yet.";
      return { choices, note: choices.length ? undefined : { label } };
    },
  });
}

function uriOf(target: vscode.Uri | DocumentItem | undefined): vscode.Uri | undefined {
  if (target instanceof vscode.Uri) return target;
  if (target?.kind === "document") return vscode.Uri.file(target.row.path);
  if (target?.kind === "workspace") return vscode.Uri.file(target.status.path);
  return undefined;
}
