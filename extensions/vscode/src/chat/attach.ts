/** What is attached to a question: selections of an editor, files and folders. */
import * as path from "node:path";
import { IndexedPaths } from "@allma/web/chat/mentions";
import { basename, type Mention } from "@allma/web/chat/messages";
import type { Session } from "@allma/web/chat/session";
import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { engineStatus } from "../engine";
import * as rpc from "../protocol";

export class Attaching {
  private readonly paths: IndexedPaths;
  /** The text editor that was active last: none is while the chat is in an editor tab. */
  private last = vscode.window.activeTextEditor;

  constructor(
    private readonly ctx: Ctx,
    private readonly session: Session,
  ) {
    this.paths = new IndexedPaths((cursor, limit) =>
      ctx.request(rpc.documents, { state: "indexed", cursor, limit }),
    );
    ctx.push(
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        this.last = editor ?? this.last;
      }),
    );
  }

  selection(editor: vscode.TextEditor): void {
    const { document, selection } = editor;
    const { startLine, endLine } = linesOf(selection);
    this.session.attach({
      kind: "selection",
      path: document.fileName,
      label: labelOf(editor),
      startLine,
      endLine,
      language: document.languageId,
      text: document.getText(selection),
    });
  }

  /** Restricts questions to a file or folder, and indexes it first if it is not indexed. */
  async scope(uri: vscode.Uri): Promise<void> {
    const label = vscode.workspace.asRelativePath(uri);
    this.session.attach({ kind: "scope", path: uri.fsPath, label });
    const status = this.ctx.engine.status ?? (await engineStatus(this.ctx));
    if (!status.workspaces.some((w) => isInside(uri.fsPath, w.path))) {
      await vscode.commands.executeCommand("allma.vscode.ingestResource", uri);
    }
  }

  /** Files and folders that were dropped or pasted. */
  async drop(uris: readonly string[]): Promise<void> {
    for (const uri of uris.map((text) => vscode.Uri.parse(text))) {
      // In a remote window, this extension runs where the files are.
      await this.scope(uri.scheme === "file" ? uri : vscode.Uri.file(uri.path));
    }
  }

  /** What a mention in the question may mean; files that are open come first. */
  async suggest(query: string): Promise<Mention[]> {
    const editor = this.selected;
    const hasSelection = editor && "selection".startsWith(query.toLowerCase());
    const detail = editor ? labelOf(editor) : "";
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    const open = tabs.flatMap(({ input }) =>
      input instanceof vscode.TabInputText ? [input.uri.fsPath] : [],
    );
    const folders = vscode.workspace.workspaceFolders ?? [];
    const preference = (file: string) => {
      if (open.includes(file)) return 0.5;
      return folders.some(({ uri }) => isInside(file, uri.fsPath)) ? 0.25 : 0;
    };
    const workspaces = this.ctx.engine.status?.workspaces ?? [];
    // A server that does not answer is told by the notice above the chat.
    const found = await this.paths.find(query, workspaces, preference).catch((): Mention[] => []);
    return hasSelection ? [{ kind: "selection", label: "#selection", detail }, ...found] : found;
  }

  async mention(mention: Mention): Promise<void> {
    if (mention.kind !== "selection") await this.scope(vscode.Uri.file(mention.path));
    else if (this.selected) this.selection(this.selected);
  }

  /** Asks what to attach; returns whether something was chosen. */
  async pick(): Promise<boolean> {
    const editor = this.selected;
    const chosen = await vscode.window.showQuickPick(
      [
        ...(editor ? [{ label: "$(selection) The editor's selection", files: undefined }] : []),
        { label: "$(file) A file…", description: "answer from this file only", files: true },
        { label: "$(folder) A folder…", description: "answer from this folder only", files: false },
      ],
      { title: "Attach to the Question" },
    );
    if (!chosen) return false;
    if (chosen.files !== undefined) await this.pickScope(chosen.files);
    else if (editor) this.selection(editor);
    return true;
  }

  private async pickScope(files: boolean): Promise<void> {
    const picked = await vscode.window.showOpenDialog({
      openLabel: "Attach",
      canSelectFiles: files,
      canSelectFolders: !files,
      canSelectMany: true,
      defaultUri: vscode.workspace.workspaceFolders?.[0]?.uri,
    });
    for (const uri of picked ?? []) await this.scope(uri);
  }

  /** The editor with a selection that can be attached. */
  private get selected(): vscode.TextEditor | undefined {
    const editor = vscode.window.activeTextEditor ?? this.last;
    const isShown = editor && vscode.window.visibleTextEditors.includes(editor);
    return isShown && !editor.selection.isEmpty ? editor : undefined;
  }
}

function labelOf({ document, selection }: vscode.TextEditor): string {
  const { startLine, endLine } = linesOf(selection);
  const lines = startLine === endLine ? `line ${startLine}` : `lines ${startLine}–${endLine}`;
  return `${basename(document.fileName)}, ${lines}`;
}

function linesOf({ start, end }: vscode.Selection): { startLine: number; endLine: number } {
  const endsBeforeLine = end.character === 0 && end.line > start.line;
  return { startLine: start.line + 1, endLine: endsBeforeLine ? end.line : end.line + 1 };
}

function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return !relative.startsWith("..") && !path.isAbsolute(relative);
}
