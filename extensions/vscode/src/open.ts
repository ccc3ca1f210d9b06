/** Opens a source where it stands: the file at its lines, a PDF at its page, else extracted text. */
import * as vscode from "vscode";
import type { Ctx } from "./ctx";
import { isCancelled } from "./failures";
import { Latest } from "./latest";
import * as rpc from "./protocol";

export interface Place {
  path: string;
  documentId: number;
  startLine: number;
  endLine: number;
  page: number | null;
}

/** Several places may be on their way to the screen: the one that was chosen last is shown. */
const opening = new Latest();

export async function openPlace(
  ctx: Ctx,
  place: Place,
  options: vscode.TextDocumentShowOptions & { extracted?: boolean } = {},
): Promise<vscode.TextEditor | undefined> {
  const isLatest = opening.begin();
  const { extracted, ...show } = options;
  const file = vscode.Uri.file(place.path);
  const hasOwnLines = !extracted && (await linesAreTheFiles(ctx, place));
  if (!isLatest()) return undefined;
  // A viewer on another machine cannot be sent to a file of this one.
  if (!hasOwnLines && !extracted && place.page !== null && vscode.env.remoteName === undefined) {
    await vscode.env.openExternal(file.with({ fragment: `page=${place.page}` }));
    return undefined;
  }
  const uri = hasOwnLines ? file : extractedText(place.documentId);
  const document = await vscode.workspace.openTextDocument(uri);
  if (!isLatest()) return undefined;
  const selection = linesOf(document, place);
  const editor = await vscode.window.showTextDocument(document, {
    viewColumn: lastTextColumn(),
    ...show,
    selection,
  });
  editor.revealRange(selection, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  return editor;
}

/** Goes back to an editor that was shown before; no place that is still on its way follows. */
export async function returnTo(
  editor: vscode.TextEditor,
  selection: vscode.Selection | undefined,
): Promise<void> {
  opening.begin();
  const { document, viewColumn } = editor;
  await vscode.window.showTextDocument(document, { viewColumn, selection });
}

/** Shows what was read out of a file. */
export async function openExtracted(documentId: number): Promise<void> {
  const isLatest = opening.begin();
  const document = await vscode.workspace.openTextDocument(extractedText(documentId));
  if (isLatest()) await vscode.window.showTextDocument(document);
}

/** The read-only document with what was read out of a file. */
export function extractedText(documentId: number): vscode.Uri {
  return vscode.Uri.parse(`allma://document/${documentId}`);
}

/** Whether a passage's lines are lines of the file itself, which only the server knows. */
async function linesAreTheFiles(ctx: Ctx, place: Place): Promise<boolean> {
  if (place.page !== null) return false;
  try {
    const { startLine, path } = place;
    const excerpt = await ctx.request(rpc.read, { source: path, startLine, endLine: startLine });
    return excerpt.source === "disk";
  } catch (error) {
    if (isCancelled(error)) throw error;
    return true; // out of the index by now: the file is the best there is
  }
}

function linesOf(document: vscode.TextDocument, place: Place): vscode.Range {
  const last = document.lineCount - 1;
  const start = Math.min(place.startLine - 1, last);
  const end = Math.min(Math.max(place.endLine - 1, start), last);
  return new vscode.Range(start, 0, end, document.lineAt(end).range.end.character);
}

function lastTextColumn(): vscode.ViewColumn {
  return vscode.window.activeTextEditor?.viewColumn ?? vscode.ViewColumn.One;
}
