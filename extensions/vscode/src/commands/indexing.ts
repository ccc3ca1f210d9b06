/** What is in the index: bringing files in, up to date, and out. */
import * as vscode from "vscode";
import { basename } from "../chat/messages";
import type { Ctx } from "../ctx";
import type { DocumentItem } from "../documents";
import type { Parts } from "../extension";
import { openExtracted } from "../open";
import * as rpc from "../protocol";
import { withProgress } from "./progress";

export const ingest = (parts: Parts) => async () => {
  const picked = await vscode.window.showOpenDialog({
    title: "Files or folders to index",
    openLabel: "Index",
    canSelectFiles: true,
    canSelectFolders: true,
    canSelectMany: true,
    defaultUri: vscode.workspace.workspaceFolders?.[0]?.uri,
  });
  if (picked?.length) await run(parts, picked);
};

export const ingestResource =
  (parts: Parts) => async (uri: vscode.Uri, selected?: readonly vscode.Uri[]) => {
    await run(parts, selected?.length ? selected : [uri]);
  };

export const retryDocument = (parts: Parts) => async (item: DocumentItem) => {
  if (item.kind === "document") await run(parts, [vscode.Uri.file(item.row.path)]);
};

export const sync = (parts: Parts) => async () => {
  if (!isTrusted()) return;
  const report = await withProgress(parts.ctx, "Bringing the index up to date", (tokens, token) =>
    parts.ctx.request(rpc.sync, tokens, token),
  );
  await parts.ctx.engine.refresh();
  await tell(parts.ctx, report);
};

/** Forgets what is chosen in the tree or the explorer; the file that is open, from the palette. */
export const forget = (parts: Parts) => async (chosen?: DocumentItem | vscode.Uri) => {
  const path = pathOf(chosen ?? vscode.window.activeTextEditor?.document.uri);
  if (path === undefined) return;
  const confirmed = await vscode.window.showWarningMessage(
    `Remove “${basename(path)}” from the index?`,
    { modal: true, detail: "Nothing on disk is touched." },
    "Remove",
  );
  if (confirmed !== "Remove") return;
  const report = await parts.ctx.request(rpc.forget, { path });
  await parts.ctx.engine.refresh();
  const count = report.documents === 1 ? "1 document is" : `${report.documents} documents are`;
  const told = [`Allma: ${count} forgotten.`, report.notice].filter(Boolean).join(" ");
  void vscode.window.showInformationMessage(told);
};

function pathOf(chosen: DocumentItem | vscode.Uri | undefined): string | undefined {
  if (chosen === undefined) return undefined;
  if (chosen instanceof vscode.Uri) return chosen.scheme === "file" ? chosen.fsPath : undefined;
  if (chosen.kind === "workspace") return chosen.status.path;
  return chosen.kind === "document" ? chosen.row.path : undefined;
}

export const openExtractedText = () => async (item: DocumentItem) => {
  if (item.kind !== "document") return;
  await openExtracted(item.row.id);
};

async function run(parts: Parts, uris: readonly vscode.Uri[]): Promise<void> {
  if (!isTrusted()) return;
  const paths = uris.filter((uri) => uri.scheme === "file").map((uri) => uri.fsPath);
  const what = paths.length === 1 && paths[0] ? basename(paths[0]) : `${paths.length} places`;
  const report = await withProgress(parts.ctx, `Indexing ${what}`, (tokens, token) =>
    parts.ctx.request(rpc.ingest, { paths, ...tokens }, token),
  );
  await parts.ctx.engine.refresh();
  await tell(parts.ctx, report);
}

function isTrusted(): boolean {
  if (vscode.workspace.isTrusted) return true;
  void vscode.window
    .showWarningMessage("Indexing needs a trusted workspace.", "Manage Trust")
    .then((chosen) => chosen && vscode.commands.executeCommand("workbench.trust.manage"));
  return false;
}

async function tell(ctx: Ctx, report: rpc.IngestReport | rpc.Job): Promise<void> {
  if ("state" in report) {
    void vscode.window.showInformationMessage("Indexing goes on in the background.");
    return;
  }
  const text = reportText(report);
  ctx.log.info(text);
  const hasTrouble = report.failed.length > 0 || report.skipped.length > 0;
  const chosen = await vscode.window.showInformationMessage(
    text,
    ...(hasTrouble ? ["Show Documents"] : []),
  );
  if (chosen) await vscode.commands.executeCommand("allma.documents.focus");
}

/** An ingestion in one sentence; what did not happen is left out. */
export function reportText(report: rpc.IngestReport): string {
  const counts: [number, string][] = [
    [report.indexed, "indexed"],
    [report.updated, "updated"],
    [report.unchanged, "unchanged"],
    [report.removed, "removed"],
    [report.skipped.length, "skipped"],
    [report.failed.length, "failed"],
  ];
  const told = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const done = told.length
    ? `Allma: ${told.join(", ")} in ${report.seconds.toFixed(1)} s.`
    : "Allma: there was nothing to index.";
  return report.notice === null ? done : `${done} ${report.notice}`;
}
