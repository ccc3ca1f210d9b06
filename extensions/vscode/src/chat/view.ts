/** The chat, in the side bar and in an editor tab: passes messages between page and session. */
import type { FromView, ToView } from "@allma/web/chat/messages";
import { Session } from "@allma/web/chat/session";
import * as vscode from "vscode";
import { COMMANDS } from "../actions";
import type { Ctx } from "../ctx";
import { failureOf, isCancelled, showFailure } from "../failures";
import { openSource } from "../open";
import * as rpc from "../protocol";
import { Attaching } from "./attach";
import { page } from "./page";

const SHOWN = "allma.conversation";
const EDITOR = "allma.chat.editor";

export class ChatView implements vscode.WebviewViewProvider, vscode.WebviewPanelSerializer {
  readonly session: Session;
  readonly attaching: Attaching;
  private view: vscode.WebviewView | undefined;
  private panel: vscode.WebviewPanel | undefined;
  /** The page that was used last: texts for the input are sent to it. */
  private used: vscode.Webview | undefined;
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
    this.attaching = new Attaching(ctx, this.session);
    ctx.push(
      this.written,
      this.selected,
      vscode.window.registerWebviewViewProvider("allma.chat", this),
      vscode.window.registerWebviewPanelSerializer(EDITOR, this),
      ctx.onDidChangeConnection(() => this.onConnection()),
      ctx.engine.onDidChange(() => this.onEngine()),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    view.onDidDispose(() => {
      this.view = undefined;
    });
    this.load(view.webview);
    this.showTitle();
  }

  /** Shows the chat in an editor tab. It is the same chat as in the side bar. */
  openEditor(): void {
    const { Active } = vscode.ViewColumn;
    if (this.panel) this.panel.reveal();
    else this.adopt(vscode.window.createWebviewPanel(EDITOR, "Allma", Active));
  }

  /** Shows the chat in the tab of an earlier window. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    if (this.panel) panel.dispose();
    else this.adopt(panel);
  }

  /** Shows the chat and focuses its input; `text` replaces what is typed there. */
  async focus(text: string | null = null): Promise<void> {
    if (this.panel?.visible && !this.view?.visible) {
      this.panel.reveal();
      this.used = this.panel.webview;
    } else {
      this.composing = text;
      this.used = this.view?.webview;
      await vscode.commands.executeCommand("allma.chat.focus");
    }
    this.post({ type: "compose", text });
  }

  async ask(question: string): Promise<void> {
    if (this.session.busy) await this.session.select(undefined);
    await Promise.all([this.session.ask(question, true), this.focus()]);
  }

  private adopt(panel: vscode.WebviewPanel): void {
    this.panel = panel;
    this.used = panel.webview;
    panel.iconPath = vscode.Uri.joinPath(this.ctx.extension.extensionUri, "media", "allma.svg");
    panel.onDidDispose(() => {
      this.panel = undefined;
    });
    this.load(panel.webview);
    this.showTitle();
  }

  private load(webview: vscode.Webview): void {
    const root = vscode.Uri.joinPath(this.ctx.extension.extensionUri, "dist");
    webview.options = { enableScripts: true, localResourceRoots: [root] };
    webview.onDidReceiveMessage((message: FromView) => this.receive(message, webview));
    webview.html = page(webview, root);
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
    this.showTitle();
    void vscode.commands.executeCommand(
      "setContext",
      "allma.hasConversation",
      this.session.id !== undefined,
    );
    void this.ctx.extension.workspaceState.update(SHOWN, this.session.id);
    if (kind === "selected") this.selected.fire(this.session.id);
    else this.written.fire();
  }

  private showTitle(): void {
    const { title } = this.session;
    if (this.view) this.view.description = title ?? undefined;
    if (this.panel) this.panel.title = title ?? "Allma";
  }

  private engineState() {
    const { connection, engine } = this.ctx;
    return { connection, engine: engine.summary, failure: engine.failure };
  }

  private post(message: ToView): void {
    const pages = [this.view?.webview, this.panel?.webview];
    const isForOne = message.type === "compose" && pages.includes(this.used);
    for (const webview of isForOne ? [this.used] : pages) void webview?.postMessage(message);
  }

  private async receive(message: FromView, from: vscode.Webview): Promise<void> {
    if (message.type !== "ready") this.used = from;
    try {
      await this.act(message, from);
    } catch (error) {
      await showFailure(this.ctx.log, error);
    }
  }

  private async act(message: FromView, from: vscode.Webview): Promise<void> {
    const { attaching, session, ctx } = this;
    switch (message.type) {
      case "ready":
        return this.onReady(from);
      case "ask":
        await session.askTyped(message);
        return ctx.engine.refresh();
      case "reload":
        return session.reload();
      case "stop":
        return session.stop();
      case "open":
        await openSource(ctx, message.source, { extracted: message.extracted, ...this.beside() });
        return;
      case "copy":
        return vscode.env.clipboard.writeText(message.text);
      case "insert":
        return insertAtCursor(message.text);
      case "attach":
        if (await attaching.pick()) await this.focus();
        return;
      case "attachText":
        return session.attach({ kind: "text", label: message.label, text: message.text });
      case "suggest": {
        const mentions = await attaching.suggest(message.query);
        void from.postMessage({ type: "suggestions", number: message.number, mentions });
        return;
      }
      case "mention":
        return attaching.mention(message.mention);
      case "drop":
        return attaching.drop(message.uris);
      case "detach":
        return session.detach(message.index);
      case "model":
        return ctx.engine.useModel(message.name);
      case "refresh":
        return ctx.engine.refresh();
      case "action":
        await vscode.commands.executeCommand(COMMANDS[message.action]);
        return;
    }
  }

  /** Gives a page that was loaded the whole state. */
  private onReady(from: vscode.Webview): void {
    const send = (message: ToView) => void from.postMessage(message);
    send({ type: "state", state: { ...this.engineState(), ...this.session.snapshot() } });
    if (from !== this.view?.webview || this.composing === undefined) return;
    send({ type: "compose", text: this.composing });
    this.composing = undefined;
  }

  /** The column for a source: not on top of a chat that is used in an editor tab. */
  private beside(): { viewColumn?: vscode.ViewColumn } {
    const { panel } = this;
    if (!panel?.visible || this.used !== panel.webview) return {};
    const isElsewhere = ({ viewColumn }: vscode.TextEditor) => viewColumn !== panel.viewColumn;
    const other = vscode.window.visibleTextEditors.find(isElsewhere)?.viewColumn;
    return { viewColumn: other ?? vscode.ViewColumn.Beside };
  }
}

function backend(ctx: Ctx) {
  return {
    ask(params: rpc.AskParams, onProgress: (p: rpc.AskProgress) => void, signal: AbortSignal) {
      return askWithProgress(ctx, params, onProgress, signal);
    },
    show: (id: string) => ctx.request(rpc.conversationsShow, { id }),
    check: (path: string) => ctx.request(rpc.documents, { workspace: path, limit: 1 }),
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
