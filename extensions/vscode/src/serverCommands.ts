/**
 * Handles commands that the server registers, such as those of its code actions. Questions and
 * searches are shown in the extension's own views instead of only being executed.
 */
import * as vscode from "vscode";

type Next = (command: string, args: unknown[]) => unknown;

export function serverCommands(command: string, args: unknown[], next: Next): unknown {
  const argument = (args[0] ?? {}) as { question?: string; query?: string; show?: boolean };
  if (command === "allma.ask" && argument.question && !("partialResultToken" in argument)) {
    return vscode.commands.executeCommand("allma.vscode.ask", argument.question);
  }
  if (command === "allma.search" && argument.query) {
    return vscode.commands.executeCommand("allma.vscode.search", argument.query);
  }
  return next(command, args);
}
