/** `@allma` in the editor's own chat: the same answers and sources, written into that chat. */
import * as vscode from "vscode";
import { placeOf, remarksOn } from "./chat/messages";
import { COMMANDS, noteOn, type Remark } from "./chat/steps";
import { askWithProgress } from "./chat/view";
import type { Ctx } from "./ctx";
import { failureOf, isCancelled } from "./failures";
import { extractedText } from "./open";
import * as rpc from "./protocol";

interface Metadata {
  conversationId?: string;
}

interface Continued extends vscode.ChatResult {
  metadata?: Metadata;
}

export function offerParticipant(ctx: Ctx): void {
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
): Promise<Continued> {
  // A stopped or failed answer is continued in the conversation that it began.
  const metadata = { conversationId: earlier(context) };
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
    const onProgress = (p: rpc.AskProgress) => {
      if (p.kind === "started") metadata.conversationId = p.conversationId;
      else if (p.kind === "chunk") stream.markdown(p.text);
    };
    const params = { question, conversationId: metadata.conversationId };
    const answered = await askWithProgress(ctx, params, onProgress, aborting.signal);
    for (const remark of remarksOn(answered)) showRemark(remark, question, stream);
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
  const note = noteOn(found);
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
    stream.anchor(location, `${name}, ${placeOf(passage)}`);
  });
}

/** The conversation of this chat, which the answer before has named. */
function earlier(context: Pick<vscode.ChatContext, "history">): string | undefined {
  const last = context.history.findLast((turn) => turn instanceof vscode.ChatResponseTurn);
  return (last?.result as Continued | undefined)?.metadata?.conversationId;
}
