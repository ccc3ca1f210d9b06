/** The view of documents in the side bar: folders, their files by state, and the reasons. */

import { basename } from "@allma/web/chat/messages";
import * as vscode from "vscode";
import type { Ctx } from "./ctx";
import * as rpc from "./protocol";

const PAGE = 200;

type Folder = { kind: "workspace"; status: rpc.WorkspaceStatus };
type Group = { kind: "group"; workspace: string; state: rpc.DocumentState; count: number };
type File = { kind: "document"; row: rpc.DocumentRow };
type More = { kind: "more"; group: Group; left: number };
export type DocumentItem = Folder | Group | File | More;

const STATES: [state: rpc.DocumentState, label: string, icon: vscode.ThemeIcon][] = [
  ["failed", "Failed", icon("error", "list.errorForeground")],
  ["skipped", "Skipped", icon("circle-slash", "list.warningForeground")],
  ["indexed", "Indexed", icon("pass", "testing.iconPassed")],
];

export class Documents implements vscode.TreeDataProvider<DocumentItem> {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly pages = new Map<string, number>();
  private seen = "";

  constructor(private readonly ctx: Ctx) {
    ctx.push(
      this.changed,
      vscode.window.createTreeView("allma.documents", {
        treeDataProvider: this,
        showCollapseAll: true,
      }),
      ctx.onDidChangeConnection(() => this.refresh()),
      ctx.engine.onDidChange(() => this.refreshIfChanged()),
    );
  }

  refresh(): void {
    this.changed.fire();
  }

  more(item: More): void {
    const key = keyOf(item.group);
    this.pages.set(key, (this.pages.get(key) ?? 1) + 1);
    this.changed.fire();
  }

  async getChildren(item?: DocumentItem): Promise<DocumentItem[]> {
    if (!this.ctx.running) return [];
    switch (item?.kind) {
      case undefined: {
        if (!this.ctx.engine.status) await this.ctx.engine.refresh();
        const folders = this.ctx.engine.status?.workspaces ?? [];
        return folders.map((status) => ({ kind: "workspace", status }));
      }
      case "workspace":
        return groupsOf(item.status);
      case "group":
        return this.files(item);
      default:
        return [];
    }
  }

  getTreeItem(item: DocumentItem): vscode.TreeItem {
    switch (item.kind) {
      case "workspace":
        return folderItem(item.status);
      case "group":
        return groupItem(item);
      case "document":
        return fileItem(item.row);
      case "more": {
        const more = new vscode.TreeItem(`Show ${item.left.toLocaleString("en")} more…`);
        more.command = {
          command: "allma.vscode.moreDocuments",
          title: "Show More",
          arguments: [item],
        };
        return more;
      }
    }
  }

  private async files(group: Group): Promise<DocumentItem[]> {
    const { workspace, state } = group;
    const limit = Math.min(1000, PAGE * (this.pages.get(keyOf(group)) ?? 1));
    const page = await this.ctx.request(rpc.documents, { workspace, state, limit });
    const files: DocumentItem[] = page.documents.map((row) => ({ kind: "document", row }));
    const left = page.total - page.documents.length;
    return left > 0 && limit < 1000 ? [...files, { kind: "more", group, left }] : files;
  }

  /** Refreshes the tree only if the counts changed: the status arrives every few seconds. */
  private refreshIfChanged(): void {
    const numbers = JSON.stringify(this.ctx.engine.status?.workspaces);
    if (numbers === this.seen) return;
    this.seen = numbers;
    this.changed.fire();
  }
}

function groupsOf(status: rpc.WorkspaceStatus): Group[] {
  const counts = { failed: status.failed, skipped: status.skipped, indexed: status.documents };
  return STATES.map(([state]) => state)
    .filter((state) => counts[state] > 0)
    .map((state) => ({ kind: "group", workspace: status.path, state, count: counts[state] }));
}

function folderItem(status: rpc.WorkspaceStatus): vscode.TreeItem {
  const item = new vscode.TreeItem(basename(status.path), vscode.TreeItemCollapsibleState.Expanded);
  item.id = `workspace:${status.path}`;
  item.contextValue = "workspace";
  item.resourceUri = vscode.Uri.file(status.path);
  const isStopped = status.reason !== null;
  item.iconPath = isStopped ? icon("warning", "list.warningForeground") : vscode.ThemeIcon.Folder;
  item.description = folderText(status);
  item.tooltip = [
    status.path,
    `${status.documents} documents, ${status.chunks} passages`,
    `${status.failed} failed, ${status.skipped} skipped, ${status.pending} pending`,
    status.watching ? "Watching for changes." : "Not watching for changes.",
    status.reason,
    status.notice,
  ]
    .filter(Boolean)
    .join("\n");
  return item;
}

/** What is being indexed, or why it is not, or what is indexed. */
function folderText({ reason, done, total, documents, pending }: rpc.WorkspaceStatus): string {
  if (reason !== null) return reason;
  if (total !== null) return `indexing ${done ?? 0} of ${total}`;
  return `${documents} indexed${pending ? `, ${pending} pending` : ""}`;
}

function groupItem(group: Group): vscode.TreeItem {
  const [, label, groupIcon] = STATES.find(([state]) => state === group.state) ?? [
    "",
    "",
    undefined,
  ];
  const item = new vscode.TreeItem(label, vscode.TreeItemCollapsibleState.Collapsed);
  item.id = keyOf(group);
  item.iconPath = groupIcon;
  item.description = group.count.toLocaleString("en");
  return item;
}

function fileItem(row: rpc.DocumentRow): vscode.TreeItem {
  const uri = vscode.Uri.file(row.path);
  const item = new vscode.TreeItem(uri);
  item.id = `document:${row.id}`;
  item.contextValue = `document.${row.state}`;
  item.description =
    row.reason ?? vscode.workspace.asRelativePath(uri, false).replace(/[^\\/]+$/, "");
  item.tooltip = [
    row.path,
    row.reason ? `${row.state}: ${row.reason}` : `${row.chunks} passages, ${row.format}`,
  ].join("\n");
  item.accessibilityInformation = {
    label: `${basename(row.path)}, ${row.state}${row.reason ? `: ${row.reason}` : ""}`,
  };
  item.command = { command: "vscode.open", title: "Open", arguments: [uri] };
  return item;
}

function keyOf(group: Group): string {
  return `${group.state}:${group.workspace}`;
}

function icon(id: string, color: string): vscode.ThemeIcon {
  return new vscode.ThemeIcon(id, new vscode.ThemeColor(color));
}
