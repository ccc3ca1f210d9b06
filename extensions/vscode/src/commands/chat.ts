/** Asking, and the conversations that come of it. */
import * as vscode from "vscode";
import { ago } from "../conversations";
import type { Ctx } from "../ctx";
import type { DocumentItem } from "../documents";
import type { Parts } from "../extension";
import * as rpc from "../protocol";
import { pickAsYouType } from "./pick";

export const ask = (parts: Parts) => async (question?: string) => {
  if (typeof question === "string" && question.trim()) await parts.chat.ask(question);
  else await parts.chat.focus();
};

export const askSelection = (parts: Parts) => async () => {
  const editor = vscode.window.activeTextEditor;
  if (!editor || editor.selection.isEmpty) {
    void vscode.window.showInformationMessage("Select the text to ask about first.");
    return;
  }
  parts.chat.attachSelection(editor);
  await parts.chat.focus();
};

export const askFile = (parts: Parts) => async (target?: vscode.Uri | DocumentItem) => {
  const uri = uriOf(target) ?? vscode.window.activeTextEditor?.document.uri;
  if (uri?.scheme !== "file") return;
  await Promise.all([parts.chat.attachScope(uri), parts.chat.focus()]);
};

export const newChat = (parts: Parts) => async () => {
  await Promise.all([parts.chat.session.select(undefined), parts.chat.focus()]);
};

export const openConversation = (parts: Parts) => async (chosen?: rpc.Conversation) => {
  const conversation = chosen ?? (await pickConversation(parts.ctx));
  if (!conversation) return;
  // The choice counts from here on: the view may take its time to appear.
  await Promise.all([parts.chat.session.select(conversation.id), parts.chat.focus()]);
};

export const renameConversation = (parts: Parts) => async (chosen?: rpc.Conversation) => {
  const conversation = await conversationFor(parts, chosen);
  if (!conversation) return;
  const title = await vscode.window.showInputBox({
    title: "Rename Conversation",
    value: conversation.title,
    validateInput: (value) => (value.trim() ? undefined : "A title needs at least one word."),
  });
  if (!title || title === conversation.title) return;
  await parts.ctx.request(rpc.conversationsRename, { id: conversation.id, title });
  await changed(parts);
};

export const deleteConversation = (parts: Parts) => async (chosen?: rpc.Conversation) => {
  const conversation = await conversationFor(parts, chosen);
  if (!conversation) return;
  const confirmed = await vscode.window.showWarningMessage(
    `Delete “${conversation.title}”?`,
    { modal: true, detail: "Its messages are deleted for all editors and clients." },
    "Delete",
  );
  if (confirmed !== "Delete") return;
  if (conversation.id === parts.chat.session.id) await parts.chat.session.select(undefined);
  await parts.ctx.request(rpc.conversationsDelete, { id: conversation.id });
  await changed(parts);
};

export const exportConversation = (parts: Parts) => async (chosen?: rpc.Conversation) => {
  const conversation = await conversationFor(parts, chosen);
  if (!conversation) return;
  const { markdown } = await parts.ctx.request(rpc.conversationsExport, { id: conversation.id });
  const document = await vscode.workspace.openTextDocument({
    language: "markdown",
    content: markdown,
  });
  await vscode.window.showTextDocument(document);
};

async function changed({ chat, conversations }: Parts): Promise<void> {
  conversations.refresh();
  await chat.session.reload();
}

/** The one a menu was opened on, else what was chosen last: in the list, or by way of the chat. */
async function conversationFor(
  { ctx, chat, conversations }: Parts,
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
      const label = query.trim() ? "No conversation has these words." : "No conversations yet.";
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
