/** The chat's state: the reducer for messages, and the notice about the engine. */
import type { EngineSummary, Pending, ToView, ViewState } from "./messages";
import { type Step, stepForFailure } from "./steps";

export const INITIAL: ViewState = {
  connection: { state: "starting" },
  engine: null,
  failure: null,
  conversation: null,
  opening: null,
  title: null,
  turns: [],
  pending: null,
  stats: null,
  thinking: "",
  remarks: [],
  attachments: [],
};

export function reduce(state: ViewState, message: ToView): ViewState {
  switch (message.type) {
    case "state":
      return { ...state, ...message.state };
    case "chunk":
      return changed(state, (pending) => ({
        state: "streaming",
        answer: pending.answer + message.text,
      }));
    case "thinking":
      return changed(state, (pending) => ({ thinking: pending.thinking + message.text }));
    case "status":
      return changed(state, () => ({ status: message.text }));
    case "compose":
    case "suggestions":
      return state;
  }
}

function changed(state: ViewState, change: (pending: Pending) => Partial<Pending>): ViewState {
  const { pending } = state;
  return pending ? { ...state, pending: { ...pending, ...change(pending) } } : state;
}

/** The notice above the conversation: a sentence, and buttons for the next steps. */
export interface Notice {
  icon: string;
  text: string;
  actions: (Step | { label: string; action: "refresh" })[];
}

export function noticeOf({ connection, engine, failure }: ViewState): Notice | null {
  switch (connection.state) {
    case "starting":
      return { icon: "loading", text: "Starting Allma…", actions: [] };
    case "missing":
      return {
        icon: "warning",
        text: "Allma's server was not found on this machine.",
        actions: [
          { label: "How to install it", action: "install" },
          { label: "Try again", action: "restart" },
        ],
      };
    case "stopped":
      return {
        icon: "error",
        text: `Allma's server is not running. ${connection.reason}`,
        actions: [
          { label: "Restart", action: "restart" },
          { label: "Show log", action: "showLog" },
        ],
      };
    case "ready":
      if (!failure) return engine && engineNotice(engine);
      return {
        icon: "error",
        text: [failure.message, failure.hint].filter(Boolean).join(" "),
        actions: [
          ...(failure.code === "error" ? [] : stepsOf(stepForFailure(failure.code))),
          { label: "Restart", action: "restart" },
          { label: "Show log", action: "showLog" },
        ],
      };
  }
}

function engineNotice(engine: EngineSummary): Notice | null {
  if (!engine.ollama.reachable) {
    return {
      icon: "debug-disconnect",
      text: `${engine.ollama.reason ?? ""} Questions are answered with passages only.`.trim(),
      actions: [...stepsOf(engine.ollama.step), { label: "Check again", action: "refresh" }],
    };
  }
  if (engine.models.length === 0) {
    return {
      icon: "cloud-download",
      text: "No chat models installed.",
      actions: [{ label: "Download a model", action: "pullModel" }],
    };
  }
  if (engine.indexing) {
    return {
      icon: "sync",
      text: indexingText(engine.indexing),
      actions: [{ label: "Show progress", action: "status" }],
    };
  }
  if (engine.embedderReason) {
    return {
      icon: "warning",
      text: engine.embedderReason,
      actions: [
        { label: "Check everything", action: "doctor" },
        { label: "Check again", action: "refresh" },
        { label: "Show log", action: "showLog" },
      ],
    };
  }
  if (engine.stopped !== null) {
    return {
      icon: "warning",
      text: engine.stopped,
      actions: [
        { label: "Try again", action: "sync" },
        { label: "Show documents", action: "documents" },
        { label: "Check everything", action: "doctor" },
      ],
    };
  }
  if (!engine.trusted) {
    return {
      icon: "workspace-untrusted",
      text: "This workspace is not trusted, so its folders are not indexed.",
      actions: [{ label: "Manage trust", action: "trust" }],
    };
  }
  if (engine.documents === 0) {
    return {
      icon: "library",
      text: "No documents indexed.",
      actions: [{ label: "Index files or folders", action: "ingest" }],
    };
  }
  return null;
}

function stepsOf(step: Step | null): Step[] {
  return step ? [step] : [];
}

export function indexingText(indexing: { done: number; total: number | null }): string {
  return indexing.total === null
    ? "Indexing…"
    : `Indexing ${indexing.done} of ${indexing.total} files…`;
}

export function indexText(engine: EngineSummary): string {
  const plural = (n: number, noun: string) =>
    `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  const failed = engine.failed ? `, ${engine.failed.toLocaleString("en")} failed` : "";
  return `${plural(engine.documents, "document")} in ${plural(engine.folders, "folder")}${failed}`;
}
