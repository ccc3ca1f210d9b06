/** Opens a source: a text file at its lines, a PDF at its page, otherwise the extracted text. */

import { Latest } from "@allma/web/latest";
import * as vscode from "vscode";
import type { Ctx } from "./ctx";
import { isCancelled } from "./failures";
import * as rpc from "./protocol";

export interface SourceLocation {
  path: string;
  documentId: number;
  startLine: number;
  endLine: number;
  page: number | null;
}

/** Sources open asynchronously; only the one selected last is shown. */
const opening = new Latest();

/** The source is marked in the editor, with the words of `query`. */
export async function openSource(
  ctx: Ctx,
  location: SourceLocation,
  options: vscode.TextDocumentShowOptions & { extracted?: boolean; query?: string } = {},
): Promise<vscode.TextEditor | undefined> {
  const isLatest = opening.begin();
  const { extracted, query, ...show } = options;
  const file = vscode.Uri.file(location.path);
  const hasOwnLines = !extracted && (await hasFileLines(ctx, location));
  if (!isLatest()) return undefined;
  // In a remote window, a viewer on the local machine cannot open a remote file.
  if (!hasOwnLines && !extracted && location.page !== null && vscode.env.remoteName === undefined) {
    await vscode.env.openExternal(file.with({ fragment: `page=${location.page}` }));
    return undefined;
  }
  const uri = hasOwnLines ? file : extractedText(location.documentId);
  const document = await vscode.workspace.openTextDocument(uri);
  if (!isLatest()) return undefined;
  const lines = linesOf(document, location);
  const editor = await vscode.window.showTextDocument(document, {
    viewColumn: activeColumn(),
    ...show,
    selection: new vscode.Range(lines.start, lines.start),
  });
  editor.revealRange(lines, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  ctx.marks.show(editor, lines, query);
  return editor;
}

/** Returns to an earlier editor; sources that are still opening are not shown. */
export async function returnTo(
  editor: vscode.TextEditor,
  selection: vscode.Selection | undefined,
): Promise<void> {
  opening.begin();
  const { document, viewColumn } = editor;
  await vscode.window.showTextDocument(document, { viewColumn, selection });
}

/** Shows the extracted text of a document. */
export async function openExtracted(documentId: number): Promise<void> {
  const isLatest = opening.begin();
  const document = await vscode.workspace.openTextDocument(extractedText(documentId));
  if (isLatest()) await vscode.window.showTextDocument(document);
}

/** The URI of a document's extracted text. */
export function extractedText(documentId: number): vscode.Uri {
  return vscode.Uri.parse(`allma://document/${documentId}`);
}

/** Whether a passage's lines are lines of the file, not of its extracted text. */
async function hasFileLines(ctx: Ctx, location: SourceLocation): Promise<boolean> {
  if (location.page !== null) return false;
  try {
    const { startLine, path } = location;
    const excerpt = await ctx.request(rpc.read, { source: path, startLine, endLine: startLine });
    return excerpt.source !== "index";
  } catch (error) {
    if (isCancelled(error)) throw error;
    return true; // no longer indexed: open the file
  }
}

function linesOf(document: vscode.TextDocument, location: SourceLocation): vscode.Range {
  const last = document.lineCount - 1;
  const start = Math.min(location.startLine - 1, last);
  const end = Math.min(Math.max(location.endLine - 1, start), last);
  return new vscode.Range(start, 0, end, document.lineAt(end).range.end.character);
}

function activeColumn(): vscode.ViewColumn {
  return vscode.window.activeTextEditor?.viewColumn ?? vscode.ViewColumn.One;
}
