/** The view of conversations in the side bar, latest first. */
import { ago } from "@allma/web/chat/ago";
import * as vscode from "vscode";
import type { Ctx } from "./ctx";
import * as rpc from "./protocol";

type Item = rpc.Conversation | "more";

export class Conversations implements vscode.TreeDataProvider<Item> {
  readonly view: vscode.TreeView<Item>;
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private pages = 1;
  private chosen: rpc.Conversation | undefined;

  constructor(private readonly ctx: Ctx) {
    this.view = vscode.window.createTreeView("allma.conversations", { treeDataProvider: this });
    ctx.push(
      this.view,
      this.changed,
      this.view.onDidChangeSelection(({ selection: [item] }) => {
        this.chosen = item === "more" ? undefined : item;
      }),
      ctx.onDidChangeConnection(() => this.refresh()),
    );
  }

  /** The conversation selected in the view, unless the chat has shown another one since. */
  get selected(): rpc.Conversation | undefined {
    return this.view.visible ? this.chosen : undefined;
  }

  /** Called when the chat shows another conversation. */
  onChat(id: string | undefined): void {
    if (this.chosen?.id !== id) this.chosen = undefined;
  }

  refresh(): void {
    this.changed.fire();
  }

  more(): void {
    this.pages += 1;
    this.changed.fire();
  }

  async getChildren(parent?: Item): Promise<Item[]> {
    if (parent || !this.ctx.running) return [];
    // A conversation that changes between two requests may appear on both pages.
    const found = new Map<string, rpc.Conversation>();
    let cursor: string | undefined;
    for (let page = 0; page < this.pages; page++) {
      const { conversations, nextCursor } = await this.ctx.request(rpc.conversationsList, {
        cursor,
      });
      for (const conversation of conversations) found.set(conversation.id, conversation);
      cursor = nextCursor ?? undefined;
      if (!cursor) break;
    }
    return cursor ? [...found.values(), "more"] : [...found.values()];
  }

  getTreeItem(item: Item): vscode.TreeItem {
    if (item === "more") {
      const more = new vscode.TreeItem("Show older conversations…");
      more.command = { command: "allma.vscode.moreConversations", title: "Show Older" };
      return more;
    }
    const tree = new vscode.TreeItem(item.title);
    tree.id = item.id;
    tree.contextValue = "conversation";
    tree.iconPath = new vscode.ThemeIcon("comment-discussion");
    tree.description = ago(item.updatedAt);
    tree.tooltip = `${item.title}\n${item.messageCount} messages, ${new Date(item.updatedAt).toLocaleString()}`;
    tree.command = {
      command: "allma.vscode.openConversation",
      title: "Open Conversation",
      arguments: [item],
    };
    return tree;
  }
}
