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
  await parts.chat.focus();
  await parts.chat.attachScope(uri);
};

export const newChat = (parts: Parts) => async () => {
  await parts.chat.session.select(undefined);
  await parts.chat.focus();
};

export const openConversation = (parts: Parts) => async (chosen?: rpc.Conversation) => {
  const conversation = chosen ?? (await pickConversation(parts.ctx));
  if (!conversation) return;
  await parts.chat.focus();
  await parts.chat.session.select(conversation.id);
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

/** The one a menu was opened on, the selected one, or the one in the chat. */
async function conversationFor(
  { ctx, chat, conversations }: Parts,
  chosen: rpc.Conversation | undefined,
): Promise<rpc.Conversation | undefined> {
  if (chosen && typeof chosen === "object" && "messageCount" in chosen) return chosen;
  const selected = conversations.view.visible ? conversations.view.selection[0] : undefined;
  if (selected && selected !== "more") return selected;
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
      return page.conversations.map((conversation) => ({
        label: conversation.title,
        description: `${ago(conversation.updatedAt)}, ${conversation.messageCount} messages`,
        value: conversation,
      }));
    },
    nothing: "No conversation has these words.",
  });
}

function uriOf(target: vscode.Uri | DocumentItem | undefined): vscode.Uri | undefined {
  if (target instanceof vscode.Uri) return target;
  if (target?.kind === "document") return vscode.Uri.file(target.row.path);
  if (target?.kind === "workspace") return vscode.Uri.file(target.status.path);
  return undefined;
}
