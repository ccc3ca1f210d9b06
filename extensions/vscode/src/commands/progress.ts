/** Long requests with a notification that shows their progress and can cancel them. */
import * as vscode from "vscode";
import { WorkDoneProgress } from "vscode-languageclient/node";
import type { Ctx } from "../ctx";
import { commandTokens } from "../engine";

export async function withProgress<R>(
  ctx: Ctx,
  title: string,
  run: (tokens: { workDoneToken: string }, token: vscode.CancellationToken) => Promise<R>,
): Promise<R> {
  const workDoneToken = crypto.randomUUID();
  commandTokens.add(workDoneToken);
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  try {
    return await vscode.window.withProgress(options, async (progress, token) => {
      let reached = 0;
      const listening = ctx.running?.onProgress(WorkDoneProgress.type, workDoneToken, (step) => {
        if (step.kind !== "report") return;
        const percentage = step.percentage ?? reached;
        progress.report({ message: short(step.message), increment: percentage - reached });
        reached = percentage;
      });
      try {
        return await run({ workDoneToken }, token);
      } finally {
        listening?.dispose();
      }
    });
  } finally {
    commandTokens.delete(workDoneToken);
  }
}

/** Shortens a path to its last part, so that the notification keeps its size. */
function short(message: string | undefined): string | undefined {
  return message?.split(/[\\/]/).pop();
}
