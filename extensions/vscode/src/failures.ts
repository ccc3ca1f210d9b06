/** Errors as they are shown to the user: one sentence and the next step. */

import type { Connection } from "@allma/web/chat/messages";
import { failureMessage } from "@allma/web/chat/steps";
import * as vscode from "vscode";
import { LSPErrorCodes } from "vscode-languageclient/node";
import { COMMANDS } from "./actions";
import type { Failure } from "./protocol";

/** Thrown when a request is sent while the server does not run. */
export class NotRunning extends Error {
  readonly hint: string;

  constructor(readonly connection: Connection) {
    super(
      connection.state === "missing"
        ? "Allma's server was not found."
        : "Allma's server is not running.",
    );
    this.hint =
      connection.state === "missing"
        ? "Install it with `pip install allma-server`."
        : "Restart it with “Allma: Restart Server”.";
  }
}

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

/** Shows an error with a button for its next step. Cancellation is not shown. */
export async function showFailure(log: vscode.LogOutputChannel, error: unknown): Promise<void> {
  if (isCancelled(error)) return;
  const { text, step } = failureMessage(failureOf(error));
  log.error(text);
  const chosen = await vscode.window.showErrorMessage(text, step.label);
  if (chosen) await vscode.commands.executeCommand(COMMANDS[step.action]);
}

function isFailure(data: unknown): data is Failure {
  return typeof data === "object" && data !== null && "code" in data && "message" in data;
}
