/** The commands that can be typed in the input, such as `/new`. */
import type { Action } from "../chat/steps";

export interface TypedCommand {
  name: string;
  icon: string;
  detail: string;
  /** An action of the host, or a change of the input. */
  does: Action | "deep" | "documents";
}

export const COMMANDS: readonly TypedCommand[] = [
  { name: "new", icon: "add", detail: "Start a new chat", does: "newChat" },
  { name: "model", icon: "server-environment", detail: "Choose the model", does: "models" },
  { name: "deep", icon: "layers", detail: "Search for each part of a question", does: "deep" },
  { name: "documents", icon: "library", detail: "Answer from documents", does: "documents" },
  { name: "search", icon: "search", detail: "Find passages without an answer", does: "search" },
  { name: "history", icon: "history", detail: "Open a conversation", does: "conversations" },
  { name: "index", icon: "new-folder", detail: "Index files or folders", does: "ingest" },
  { name: "status", icon: "pulse", detail: "Show what is indexed", does: "status" },
  { name: "doctor", icon: "checklist", detail: "Check everything", does: "doctor" },
];
