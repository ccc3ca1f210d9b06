/** Failures as people read them: one sentence and the next step. */
import * as vscode from "vscode";
import { LSPErrorCodes } from "vscode-languageclient/node";
import { COMMANDS, popup } from "./chat/steps";
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
    const isMissing = error.connection.state === "missing";
    const code = isMissing ? "server_missing" : "not_running";
    return { code, message: error.message, hint: error.hint };
  }
  if (error instanceof Error && "data" in error && isFailure(error.data)) return error.data;
  const message = error instanceof Error ? error.message : String(error);
  return { code: "error", message, hint: null };
}

/** Tells the user, with the step that helps; says nothing about what they cancelled. */
export async function showFailure(ctx: Ctx, error: unknown): Promise<void> {
  if (isCancelled(error)) return;
  const { text, step } = popup(failureOf(error));
  ctx.log.error(text);
  const chosen = await vscode.window.showErrorMessage(text, step.label);
  if (chosen) await vscode.commands.executeCommand(COMMANDS[step.action]);
}

function isFailure(data: unknown): data is Failure {
  return typeof data === "object" && data !== null && "code" in data && "message" in data;
}
