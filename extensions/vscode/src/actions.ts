/** The command of each action that a next step offers. */
import type { Action } from "@allma/web/chat/steps";

/** `explain` takes the query as its argument. */
export const COMMANDS: Record<Action, string> = {
  install: "allma.vscode.install",
  restart: "allma.vscode.restart",
  showLog: "allma.vscode.showLog",
  status: "allma.vscode.status",
  documents: "allma.documents.focus",
  explain: "allma.vscode.explain",
  models: "allma.vscode.models",
  pullModel: "allma.vscode.pullModel",
  ingest: "allma.vscode.ingest",
  sync: "allma.vscode.sync",
  doctor: "allma.vscode.doctor",
  newChat: "allma.vscode.newChat",
  conversations: "allma.vscode.openConversation",
  search: "allma.vscode.search",
  trust: "workbench.trust.manage",
  startOllama: "allma.vscode.startOllama",
};
