/** Commands that add, update and remove files of the index. */

import { basename } from "@allma/web/chat/messages";
import { reportText } from "@allma/web/chat/report";
import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import type { DocumentItem } from "../documents";
import { openExtracted } from "../open";
import * as rpc from "../protocol";
import type { CommandContext } from "./context";
import { withProgress } from "./progress";

export const ingest = (context: CommandContext) => async () => {
  const picked = await vscode.window.showOpenDialog({
    title: "Files or folders to index",
    openLabel: "Index",
    canSelectFiles: true,
    canSelectFolders: true,
    canSelectMany: true,
    defaultUri: vscode.workspace.workspaceFolders?.[0]?.uri,
  });
  if (picked?.length) await run(context, picked);
};

export const ingestResource =
  (context: CommandContext) => async (uri: vscode.Uri, selected?: readonly vscode.Uri[]) => {
    await run(context, selected?.length ? selected : [uri]);
  };

export const retryDocument = (context: CommandContext) => async (item: DocumentItem) => {
  if (item.kind === "document") await run(context, [vscode.Uri.file(item.row.path)]);
};

/** Updates the index; of the folder that is given, or of all. */
export const sync = (context: CommandContext) => async (folder?: DocumentItem) => {
  if (!isTrusted()) return;
  const path = folder?.kind === "workspace" ? folder.status.path : undefined;
  const report = await withProgress(context.ctx, "Updating the index", (tokens, token) =>
    context.ctx.request(rpc.sync, { path, ...tokens }, token),
  );
  await context.ctx.engine.refresh();
  await showReport(context.ctx, report);
};

/** Removes the selected item from the index; from the palette, the file of the active editor. */
export const forget = (context: CommandContext) => async (chosen?: DocumentItem | vscode.Uri) => {
  const path = pathOf(chosen ?? vscode.window.activeTextEditor?.document.uri);
  if (path === undefined) return;
  const confirmed = await vscode.window.showWarningMessage(
    `Remove “${basename(path)}” from the index?`,
    { modal: true, detail: "The file on disk is not changed." },
    "Remove",
  );
  if (confirmed !== "Remove") return;
  const report = await context.ctx.request(rpc.forget, { path });
  await context.ctx.engine.refresh();
  const count = report.documents === 1 ? "1 document was" : `${report.documents} documents were`;
  const message = [`Allma: ${count} removed from the index.`, report.notice]
    .filter(Boolean)
    .join(" ");
  void vscode.window.showInformationMessage(message);
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

async function run(context: CommandContext, uris: readonly vscode.Uri[]): Promise<void> {
  if (!isTrusted()) return;
  const paths = uris.filter((uri) => uri.scheme === "file").map((uri) => uri.fsPath);
  const what = paths.length === 1 && paths[0] ? basename(paths[0]) : `${paths.length} items`;
  const report = await withProgress(context.ctx, `Indexing ${what}`, (tokens, token) =>
    context.ctx.request(rpc.ingest, { paths, ...tokens }, token),
  );
  await context.ctx.engine.refresh();
  await showReport(context.ctx, report);
}

function isTrusted(): boolean {
  if (vscode.workspace.isTrusted) return true;
  void vscode.window
    .showWarningMessage("Indexing needs a trusted workspace.", "Manage Trust")
    .then((chosen) => chosen && vscode.commands.executeCommand("workbench.trust.manage"));
  return false;
}

async function showReport(ctx: Ctx, report: rpc.IngestReport | rpc.Job): Promise<void> {
  if ("state" in report) {
    void vscode.window.showInformationMessage("Indexing continues in the background.");
    return;
  }
  const text = `Allma: ${reportText(report)}`;
  ctx.log.info(text);
  const hasTrouble = report.failed.length > 0 || report.skipped.length > 0;
  const chosen = await vscode.window.showInformationMessage(
    text,
    ...(hasTrouble ? ["Show Documents"] : []),
  );
  if (chosen) await vscode.commands.executeCommand("allma.documents.focus");
}
