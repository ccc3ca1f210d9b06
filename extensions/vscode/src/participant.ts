/** `@allma` in the editor's own chat: the same answers and sources, written into that chat. */
import * as vscode from "vscode";
import { placeOf } from "./chat/messages";
import { askWithProgress } from "./chat/view";
import type { Ctx } from "./ctx";
import { failureOf, isCancelled } from "./failures";
import { extractedText } from "./open";
import * as rpc from "./protocol";

interface Continued extends vscode.ChatResult {
  metadata?: { conversationId?: string };
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
  try {
    if (request.command === "search") return await search(ctx, request.prompt, stream, token);
    return await ask(ctx, request.prompt, earlier(context), stream, token);
  } catch (error) {
    if (isCancelled(error)) return {};
    const failure = failureOf(error);
    return { errorDetails: { message: [failure.message, failure.hint].filter(Boolean).join(" ") } };
  }
}

async function ask(
  ctx: Ctx,
  question: string,
  conversationId: string | undefined,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<Continued> {
  const aborting = new AbortController();
  const listening = token.onCancellationRequested(() => aborting.abort());
  try {
    const onProgress = (p: rpc.AskProgress) => p.kind === "chunk" && stream.markdown(p.text);
    const params = { question, conversationId };
    const answered = await askWithProgress(ctx, params, onProgress, aborting.signal);
    showPassages(
      answered.citations.map((citation) => citation.passage),
      stream,
    );
    return { metadata: { conversationId: answered.conversationId } };
  } finally {
    listening.dispose();
  }
}

async function search(
  ctx: Ctx,
  query: string,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<Continued> {
  const found = await ctx.request(rpc.search, { query }, token);
  if (found.notice) stream.markdown(`*${found.notice}*\n`);
  if (!found.passages.length) stream.markdown("Nothing was found.");
  else showPassages(found.passages, stream);
  return {};
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
