/** Failures as people read them: one sentence and the next step. */
import * as vscode from "vscode";
import { LSPErrorCodes } from "vscode-languageclient/node";
import { type Ctx, NotRunning } from "./ctx";
import type { Failure } from "./protocol";

export function isCancelled(error: unknown): boolean {
  return (
    error instanceof vscode.CancellationError ||
    (error instanceof Error && "code" in error && error.code === LSPErrorCodes.RequestCancelled)
  );
}

export function failureOf(error: unknown): Failure {
  if (error instanceof NotRunning) {
    return { code: "not_running", message: error.message, hint: error.hint };
  }
  if (error instanceof Error && "data" in error && isFailure(error.data)) return error.data;
  const message = error instanceof Error ? error.message : String(error);
  return { code: "error", message, hint: null };
}

/** Tells the user, with the step that helps; says nothing about what they cancelled. */
export async function showFailure(ctx: Ctx, error: unknown): Promise<void> {
  if (isCancelled(error)) return;
  const failure = failureOf(error);
  const text = failure.hint ? `${failure.message} ${failure.hint}` : failure.message;
  ctx.log.error(text);
  const [label, command] =
    error instanceof NotRunning && error.connection.state === "missing"
      ? ["How to Install", "allma.vscode.install"]
      : error instanceof NotRunning
        ? ["Restart", "allma.vscode.restart"]
        : ["Show Log", "allma.vscode.showLog"];
  const chosen = await vscode.window.showErrorMessage(text, label);
  if (chosen) await vscode.commands.executeCommand(command);
}

function isFailure(data: unknown): data is Failure {
  return typeof data === "object" && data !== null && "code" in data && "message" in data;
}
