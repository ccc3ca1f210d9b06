/** The status bar item: the engine's state in short, with details in the tooltip. */

import type { Connection, EngineSummary } from "@allma/web/chat/messages";
import * as vscode from "vscode";
import type { Ctx } from "./ctx";
import type { Failure, Status } from "./protocol";

export function createStatusItem(ctx: Ctx): void {
  const item = vscode.window.createStatusBarItem("allma.status", vscode.StatusBarAlignment.Left, 0);
  item.name = "Allma";
  const update = () => {
    const isMissing = ctx.connection.state === "missing";
    item.command = isMissing ? "allma.vscode.install" : "allma.vscode.status";
    const { text, warning } = statusText(ctx.connection, ctx.engine.summary, ctx.engine.failure);
    item.text = text;
    item.tooltip = tooltip(ctx.connection, ctx.engine.status);
    item.accessibilityInformation = { label: text.replace(/\$\([^)]*\)\s*/g, ""), role: "button" };
    item.backgroundColor = warning
      ? new vscode.ThemeColor("statusBarItem.warningBackground")
      : undefined;
  };
  update();
  item.show();
  ctx.push(item, ctx.onDidChangeConnection(update), ctx.engine.onDidChange(update));
}

export function statusText(
  connection: Connection,
  engine: EngineSummary | null,
  failure: Failure | null,
): { text: string; warning: boolean } {
  switch (connection.state) {
    case "starting":
      return { text: "$(loading~spin) Allma", warning: false };
    case "missing":
      return { text: "$(warning) Allma: not installed", warning: true };
    case "stopped":
      return { text: "$(error) Allma: stopped", warning: true };
  }
  if (failure) return { text: "$(error) Allma: not working", warning: true };
  if (engine?.indexing) {
    const { done, total } = engine.indexing;
    const counts = total === null ? "" : ` ${done}/${total}`;
    return { text: `$(sync~spin) Allma: indexing${counts}`, warning: false };
  }
  if (engine && !engine.ollama.reachable) {
    const isDown = engine.ollama.step?.action === "startOllama";
    const what = isDown ? "Ollama not running" : "no models";
    return { text: `$(debug-disconnect) Allma: ${what}`, warning: false };
  }
  return { text: "$(library) Allma", warning: false };
}

function tooltip(connection: Connection, status: Status | undefined): vscode.MarkdownString {
  const text = new vscode.MarkdownString(undefined, true);
  if (connection.state === "stopped") text.appendText(connection.reason);
  else if (connection.state === "missing") text.appendText("The server was not found.");
  else if (status) {
    for (const w of status.workspaces) {
      text.appendMarkdown("$(folder) ").appendText(`${w.path}: ${w.documents} documents`);
      if (w.failed) text.appendText(`, ${w.failed} failed`);
      text.appendMarkdown("\n\n");
    }
    const model = status.ollama.reachable
      ? `Model: ${status.chatModel ?? "none"}`
      : (status.ollama.reason ?? "Ollama is not running.");
    text.appendText(model);
  }
  return text;
}
