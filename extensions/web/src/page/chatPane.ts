/** The chat: a conversation with its title, in the chat's components. */

import { IndexedPaths } from "../chat/mentions";
import type { Attachment, FromView, Mention, Source, ToView } from "../chat/messages";
import { basename } from "../chat/messages";
import { Session } from "../chat/session";
import type { Action } from "../chat/steps";
import { Chat } from "../view/chat";
import { h, iconButton } from "../view/dom";
import { copyText } from "./clipboard";
import { chosen, confirmed, entered, toast, told } from "./dialogs";
import { ollamaHelp } from "./help";
import { failureOf, type Server, sentence } from "./http";
import type { Monitor } from "./monitor";
import { preferences } from "./preferences";
import type { Location } from "./reader";
import { saveFile } from "./saving";

/** What the rest of the page does for the chat. */
export interface Surroundings {
  openSource(at: Location): void;
  /** The conversation that is shown has another id, or was written. */
  onConversation(id: string | undefined): void;
  go(address: string): void;
}

const ACTIONS = new Map<Action, string>([
  ["status", "#/documents"],
  ["documents", "#/documents"],
  ["newChat", "#/"],
  ["search", "#/search"],
  ["ingest", "#/documents"],
  ["models", "#/settings"],
  ["pullModel", "#/settings"],
  ["doctor", "#/settings"],
]);

export class ChatPane {
  readonly element = h("section", { class: "pane chat", "aria-label": "Chat" });
  private readonly session: Session;
  private readonly title = h("h1", {}, "New chat");
  private readonly buttons = h("div", { class: "tools" });
  private readonly chat: Chat;
  private readonly paths: IndexedPaths;

  constructor(
    private readonly server: Server,
    private readonly monitor: Monitor,
    private readonly surroundings: Surroundings,
  ) {
    this.session = new Session(
      {
        ask: (params, onProgress, signal) =>
          server.ask({ ...params, ...this.choices() }, onProgress, signal),
        show: (id) => server.call("conversations.show", { id }),
        check: (path) => server.call("documents", { workspace: path, limit: 1 }),
        failure: failureOf,
      },
      (message) => this.send(message),
      () => this.onSession(),
    );
    this.paths = new IndexedPaths((cursor, limit) =>
      server.call("documents", { state: "indexed", cursor, limit }),
    );
    const body = h("div", { class: "chat-body" });
    this.element.append(h("header", {}, this.title, this.buttons), body);
    this.buttons.append(
      iconButton("edit", "Rename this conversation", () => void this.rename()),
      iconButton("desktop-download", "Save as Markdown", () => void this.save()),
      iconButton("trash", "Delete this conversation", () => void this.remove()),
    );
    this.chat = new Chat(body, {
      actions: new Set<Action>([...ACTIONS.keys(), "startOllama", "sync"]),
      post: (message) => void this.receive(message).catch((error) => toast(sentence(error))),
      saveDraft: (draft) => preferences.set({ draft }),
      draft: preferences.draft,
    });
    this.onSession();
    monitor.onChange(() => void this.onMonitor());
  }

  /** Shows a conversation, or a new one. */
  async open(id: string | undefined): Promise<void> {
    if (id === this.session.id) return this.session.reload();
    await this.session.select(id).catch((error) => toast(sentence(error)));
  }

  compose(text: string | null): void {
    this.chat.receive({ type: "compose", text });
  }

  /** Restricts questions to a file or folder. */
  attach(path: string): void {
    this.restrict(path);
    this.compose(null);
  }

  private restrict(path: string): void {
    this.session.attach({ kind: "scope", path, label: basename(path) } satisfies Attachment);
  }

  private async suggest(number: number, query: string): Promise<void> {
    const workspaces = this.monitor.status?.workspaces ?? [];
    // A server that is away is told by the notice.
    const mentions = await this.paths.find(query, workspaces).catch((): Mention[] => []);
    this.send({ type: "suggestions", number, mentions });
  }

  private choices() {
    const { topK, model } = preferences;
    const isOwnModel = model !== null && !this.monitor.may("admin");
    return { topK: topK ?? undefined, model: isOwnModel ? model : undefined };
  }

  private send(message: ToView): void {
    // The first messages come while the chat is being made.
    queueMicrotask(() => this.chat.receive(message));
  }

  private state() {
    const { connection, summary, failure } = this.monitor;
    return { connection, engine: summary, failure };
  }

  private async onMonitor(): Promise<void> {
    this.send({ type: "state", state: this.state() });
    const isReady = this.monitor.connection.state === "ready" && !this.monitor.failure;
    if (isReady && this.session.hasLoadError) await this.session.reload();
  }

  private onSession(): void {
    const { id, title } = this.session;
    this.title.textContent = title ?? (id === undefined ? "New chat" : "Conversation");
    this.buttons.hidden = id === undefined;
    this.surroundings.onConversation(id);
  }

  private async receive(message: FromView): Promise<void> {
    const { session } = this;
    switch (message.type) {
      case "ready":
        return this.send({ type: "state", state: { ...this.state(), ...session.snapshot() } });
      case "ask":
        await session.askTyped(message);
        return this.monitor.refresh();
      case "reload":
        return session.reload();
      case "stop":
        return session.stop();
      case "open":
        return this.surroundings.openSource(locationOf(message.source));
      case "copy":
      case "insert":
        await copyText(message.text);
        return toast("Copied.");
      case "attach":
        return this.pickScope();
      case "attachText":
        return session.attach({ kind: "text", label: message.label, text: message.text });
      case "suggest":
        return this.suggest(message.number, message.query);
      case "mention":
        if (message.mention.kind !== "selection") this.restrict(message.mention.path);
        return;
      case "drop":
        for (const uri of message.uris) this.restrict(decodeURIComponent(new URL(uri).pathname));
        return;
      case "detach":
        return session.detach(message.index);
      case "model":
        return this.useModel(message.name);
      case "refresh":
        return this.monitor.refresh();
      case "action":
        return this.act(message.action);
    }
  }

  private async act(action: Action): Promise<void> {
    if (action === "sync") {
      await this.reported(this.server.call("sync", {}));
      return this.monitor.refresh();
    }
    if (action === "startOllama") return told("Start Ollama", ...ollamaHelp(this.monitor.status));
    const address = ACTIONS.get(action);
    if (address) this.surroundings.go(address);
  }

  private async useModel(name: string): Promise<void> {
    if (this.monitor.may("admin")) await this.server.call("models.use", { name });
    else preferences.set({ model: name });
    await this.monitor.refresh();
  }

  private async pickScope(): Promise<void> {
    const workspaces = this.monitor.status?.workspaces ?? [];
    const choices = workspaces.map(({ path, documents }) => ({
      label: basename(path),
      detail: `${documents.toLocaleString("en")} documents · ${path}`,
      value: path,
    }));
    const hint = { label: "A file…", detail: "Choose it in the list of documents", value: "" };
    const path = await chosen("Answer only from", [...choices, hint]);
    if (path === "") this.surroundings.go("#/documents");
    else if (path !== null) this.attach(path);
  }

  private async rename(): Promise<void> {
    const { id, title } = this.session;
    if (id === undefined) return;
    const how = { label: "Title", value: title ?? "", action: "Rename" };
    const given = await entered("Rename the conversation", how);
    if (given === null) return;
    await this.reported(this.server.call("conversations.rename", { id, title: given }));
    await this.session.reload();
    this.onSession();
  }

  private async save(): Promise<void> {
    const { id } = this.session;
    if (id === undefined) return;
    const found = await this.reported(this.server.call("conversations.export", { id }));
    if (found) saveFile(`${found.title.replace(/[^\p{L}\p{N} ._-]+/gu, "_")}.md`, found.markdown);
  }

  private async remove(): Promise<void> {
    const { id, title } = this.session;
    if (id === undefined) return;
    const question = `Delete “${title ?? "this conversation"}”?`;
    if (!(await confirmed(question, "Its messages are deleted for all clients.", "Delete"))) return;
    if (!(await this.reported(this.server.call("conversations.delete", { id })))) return;
    this.surroundings.go("#/");
  }

  private async reported<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      toast(sentence(error));
      return undefined;
    }
  }
}

function locationOf(source: Source): Location {
  const { path, startLine, endLine, page, heading, text, stale } = source;
  return { path, startLine, endLine, page, heading, text, stale };
}
