/** The chat participant `@allma`: the same answers and sources in the editor's own chat. */

import { locationLabel, remarksFor } from "@allma/web/chat/messages";
import { type Remark, searchRemark } from "@allma/web/chat/steps";
import * as vscode from "vscode";
import { COMMANDS } from "./actions";
import { askWithProgress } from "./chat/view";
import type { Ctx } from "./ctx";
import { failureOf, isCancelled } from "./failures";
import { extractedText } from "./open";
import * as rpc from "./protocol";

interface Metadata {
  conversationId?: string;
}

interface AskResult extends vscode.ChatResult {
  metadata?: Metadata;
}

export function registerParticipant(ctx: Ctx): void {
  if (typeof vscode.chat?.createChatParticipant !== "function") return;
  const participant = vscode.chat.createChatParticipant(
    "allma.participant",
    (request, context, stream, token) => answer(ctx, request, context, stream, token),
  );
  participant.iconPath = new vscode.ThemeIcon("library");
  ctx.push(participant);
}

export async function answer(
  ctx: Ctx,
  request: Pick<vscode.ChatRequest, "prompt" | "command">,
  context: Pick<vscode.ChatContext, "history">,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<AskResult> {
  // Return the metadata in every case: the next question continues this conversation.
  const metadata = { conversationId: conversationOf(context) };
  try {
    if (request.command === "search") await search(ctx, request.prompt, stream, token);
    else await ask(ctx, request.prompt, metadata, stream, token);
    return { metadata };
  } catch (error) {
    if (isCancelled(error)) return { metadata };
    const failure = failureOf(error);
    const message = [failure.message, failure.hint].filter(Boolean).join(" ");
    return { errorDetails: { message }, metadata };
  }
}

async function ask(
  ctx: Ctx,
  question: string,
  metadata: Metadata,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<void> {
  const aborting = new AbortController();
  const listening = token.onCancellationRequested(() => aborting.abort());
  try {
    let thinks = false;
    const onProgress = (p: rpc.AskProgress) => {
      if (p.kind === "started") metadata.conversationId = p.conversationId;
      else if (p.kind === "status") stream.progress(p.message);
      else if (p.kind === "thinking" && !thinks) {
        thinks = true;
        stream.progress("Thinking…");
      } else if (p.kind === "chunk") stream.markdown(p.text);
    };
    const params = { question, conversationId: metadata.conversationId };
    const answered = await askWithProgress(ctx, params, onProgress, aborting.signal);
    for (const remark of remarksFor(answered)) showRemark(remark, question, stream);
    showPassages(
      answered.citations.map((citation) => citation.passage),
      stream,
    );
  } finally {
    listening.dispose();
  }
}

async function search(
  ctx: Ctx,
  query: string,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<void> {
  const found = await ctx.request(rpc.search, { query }, token);
  const note = searchRemark(found);
  if (note) showRemark(note, query, stream);
  showPassages(found.passages, stream);
}

function showRemark(
  { text, step }: Remark,
  query: string,
  stream: vscode.ChatResponseStream,
): void {
  if (text !== null) stream.markdown(`\n\n*${text}*\n`);
  if (!step) return;
  const command = COMMANDS[step.action];
  const given = step.action === "explain" ? [query] : undefined;
  stream.button({ command, title: step.label, arguments: given });
}

function showPassages(passages: readonly rpc.Passage[], stream: vscode.ChatResponseStream): void {
  passages.forEach((passage, index) => {
    const [start, end] = [passage.startLine - 1, passage.endLine - 1];
    const uri =
      passage.page === null ? vscode.Uri.file(passage.path) : extractedText(passage.documentId);
    const location = new vscode.Location(uri, new vscode.Range(start, 0, end, 0));
    const name = vscode.workspace.asRelativePath(passage.path);
    stream.markdown(`${index ? "" : "\n"}\n[${index + 1}] `);
    stream.anchor(location, `${name}, ${locationLabel(passage)}`);
  });
}

/** The conversation's id, from the metadata of the previous answer. */
function conversationOf(context: Pick<vscode.ChatContext, "history">): string | undefined {
  const last = context.history.findLast((turn) => turn instanceof vscode.ChatResponseTurn);
  return (last?.result as AskResult | undefined)?.metadata?.conversationId;
}
