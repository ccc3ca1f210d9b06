/** The chat view in the side bar: passes messages between the webview and the session. */
import * as path from "node:path";
import { type Attachment, basename, type FromView, type ToView } from "@allma/web/chat/messages";
import { Session } from "@allma/web/chat/session";
import * as vscode from "vscode";
import { COMMANDS } from "../actions";
import type { Ctx } from "../ctx";
import { engineStatus } from "../engine";
import { failureOf, isCancelled, showFailure } from "../failures";
import { openSource } from "../open";
import * as rpc from "../protocol";
import { page } from "./page";

const SHOWN = "allma.conversation";

export class ChatView implements vscode.WebviewViewProvider {
  readonly session: Session;
  private view: vscode.WebviewView | undefined;
  private composing: string | null | undefined;
  private readonly written = new vscode.EventEmitter<void>();
  /** Fires when a conversation was started or continued. */
  readonly onDidWrite = this.written.event;
  private readonly selected = new vscode.EventEmitter<string | undefined>();
  /** Fires with the id of the conversation that is now shown; undefined for a new one. */
  readonly onDidSelect = this.selected.event;

  constructor(private readonly ctx: Ctx) {
    this.session = new Session(
      backend(ctx),
      (message) => this.post(message),
      (kind) => this.onSessionChanged(kind),
    );
    ctx.push(
      this.written,
      this.selected,
      vscode.window.registerWebviewViewProvider("allma.chat", this),
      ctx.onDidChangeConnection(() => this.onConnection()),
      ctx.engine.onDidChange(() => this.onEngine()),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const root = vscode.Uri.joinPath(this.ctx.extension.extensionUri, "dist");
    view.webview.options = { enableScripts: true, localResourceRoots: [root] };
    view.webview.onDidReceiveMessage((message: FromView) => this.receive(message));
    view.onDidDispose(() => {
      this.view = undefined;
    });
    view.webview.html = page(view.webview, root);
    view.description = this.session.title ?? undefined;
  }

  /** Shows the chat and focuses its input; `text` replaces what is typed there. */
  async focus(text: string | null = null): Promise<void> {
    this.composing = text;
    await vscode.commands.executeCommand("allma.chat.focus");
    this.post({ type: "compose", text });
  }

  async ask(question: string): Promise<void> {
    if (this.session.busy) await this.session.select(undefined);
    await Promise.all([this.session.ask(question, true), this.focus()]);
  }

  attachSelection(editor: vscode.TextEditor): void {
    const { document, selection } = editor;
    const name = basename(document.fileName);
    const { start, end } = selection;
    const endsBeforeLine = end.character === 0 && end.line > start.line;
    const startLine = start.line + 1;
    const endLine = endsBeforeLine ? end.line : end.line + 1;
    const lines = startLine === endLine ? `line ${startLine}` : `lines ${startLine}–${endLine}`;
    this.session.attach({
      kind: "selection",
      path: document.fileName,
      label: `${name}, ${lines}`,
      startLine,
      endLine,
      language: document.languageId,
      text: document.getText(selection),
    });
  }

  /** Restricts questions to a file or folder, and indexes it first if it is not indexed. */
  async attachScope(uri: vscode.Uri): Promise<void> {
    this.session.attach(scopeOf(uri));
    const status = this.ctx.engine.status ?? (await engineStatus(this.ctx));
    if (!status.workspaces.some((w) => isInside(uri.fsPath, w.path))) {
      await vscode.commands.executeCommand("allma.vscode.ingestResource", uri);
    }
  }

  /** Restores the conversation that was shown before the window was reloaded. */
  private async onConnection(): Promise<void> {
    const shown = this.ctx.extension.workspaceState.get<string>(SHOWN);
    const isReady = this.ctx.connection.state === "ready";
    const isNew = this.session.id === undefined && shown !== undefined && !this.session.busy;
    const reading = isReady && (isNew ? this.session.restore(shown) : this.session.reload());
    // The session must publish first: otherwise the page briefly shows an empty chat.
    this.post({ type: "state", state: this.engineState() });
    await reading;
  }

  /** Retries loading the conversation when the engine answers again. */
  private async onEngine(): Promise<void> {
    this.post({ type: "state", state: this.engineState() });
    if (this.session.hasLoadError && !this.ctx.engine.failure) await this.session.reload();
  }

  private onSessionChanged(kind: "selected" | "written"): void {
    if (this.view) this.view.description = this.session.title ?? undefined;
    void vscode.commands.executeCommand(
      "setContext",
      "allma.hasConversation",
      this.session.id !== undefined,
    );
    void this.ctx.extension.workspaceState.update(SHOWN, this.session.id);
    if (kind === "selected") this.selected.fire(this.session.id);
    else this.written.fire();
  }

  private engineState() {
    const { connection, engine } = this.ctx;
    return { connection, engine: engine.summary, failure: engine.failure };
  }

  private post(message: ToView): void {
    void this.view?.webview.postMessage(message);
  }

  private async receive(message: FromView): Promise<void> {
    try {
      await this.act(message);
    } catch (error) {
      await showFailure(this.ctx.log, error);
    }
  }

  private async act(message: FromView): Promise<void> {
    switch (message.type) {
      case "ready":
        this.post({
          type: "state",
          state: { ...this.engineState(), ...this.session.snapshot() },
        });
        if (this.composing !== undefined) this.post({ type: "compose", text: this.composing });
        this.composing = undefined;
        return;
      case "ask":
        await this.session.askTyped(message);
        return this.ctx.engine.refresh();
      case "reload":
        return this.session.reload();
      case "stop":
        return this.session.stop();
      case "open":
        await openSource(this.ctx, message.source, { extracted: message.extracted });
        return;
      case "copy":
        return vscode.env.clipboard.writeText(message.text);
      case "insert":
        return insertAtCursor(message.text);
      case "attach":
        return this.pickAttachment();
      case "detach":
        return this.session.detach(message.index);
      case "model":
        return this.ctx.engine.useModel(message.name);
      case "refresh":
        return this.ctx.engine.refresh();
      case "action":
        await vscode.commands.executeCommand(COMMANDS[message.action]);
        return;
    }
  }

  private async pickAttachment(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const hasSelection = editor && !editor.selection.isEmpty;
    const chosen = await vscode.window.showQuickPick(
      [
        ...(hasSelection
          ? [{ label: "$(selection) The editor's selection", files: undefined }]
          : []),
        { label: "$(file) A file…", description: "answer from this file only", files: true },
        { label: "$(folder) A folder…", description: "answer from this folder only", files: false },
      ],
      { title: "Attach to the Question" },
    );
    if (!chosen) return;
    if (chosen.files !== undefined) await this.pickScope(chosen.files);
    else if (editor) this.attachSelection(editor);
    await this.focus();
  }

  private async pickScope(files: boolean): Promise<void> {
    const picked = await vscode.window.showOpenDialog({
      openLabel: "Attach",
      canSelectFiles: files,
      canSelectFolders: !files,
      defaultUri: vscode.workspace.workspaceFolders?.[0]?.uri,
    });
    if (picked?.[0]) await this.attachScope(picked[0]);
  }
}

function backend(ctx: Ctx) {
  return {
    ask(params: rpc.AskParams, onProgress: (p: rpc.AskProgress) => void, signal: AbortSignal) {
      return askWithProgress(ctx, params, onProgress, signal);
    },
    show: (id: string) => ctx.request(rpc.conversationsShow, { id }),
    failure: (error: unknown) => (isCancelled(error) ? "cancelled" : failureOf(error)),
  } as const;
}

/** Asks and reports progress as the answer is generated. Aborting closes the model's stream. */
export async function askWithProgress(
  ctx: Ctx,
  params: rpc.AskParams,
  onProgress: (progress: rpc.AskProgress) => void,
  signal: AbortSignal,
): Promise<rpc.Answer> {
  await ctx.engine.modelSettled();
  const partialResultToken = crypto.randomUUID();
  const listening = ctx.running?.onProgress(rpc.askProgress, partialResultToken, onProgress);
  const cancelling = new vscode.CancellationTokenSource();
  const abort = () => cancelling.cancel();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await ctx.request(rpc.ask, { ...params, partialResultToken }, cancelling.token);
  } finally {
    signal.removeEventListener("abort", abort);
    listening?.dispose();
    cancelling.dispose();
  }
}

async function insertAtCursor(text: string): Promise<void> {
  const editor = vscode.window.activeTextEditor ?? vscode.window.visibleTextEditors[0];
  if (!editor) {
    await vscode.window.showTextDocument(
      await vscode.workspace.openTextDocument({ content: text }),
    );
    return;
  }
  await editor.edit((edit) => {
    for (const selection of editor.selections) edit.replace(selection, text);
  });
  await vscode.window.showTextDocument(editor.document, editor.viewColumn);
}

function scopeOf(uri: vscode.Uri): Attachment {
  return { kind: "scope", path: uri.fsPath, label: vscode.workspace.asRelativePath(uri) };
}

function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return !relative.startsWith("..") && !path.isAbsolute(relative);
}
