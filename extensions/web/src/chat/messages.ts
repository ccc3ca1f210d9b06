/** Messages between the extension and the chat's webview, and the values they carry. */
import type {
  Answer,
  AnswerStats,
  AskParams,
  Citation,
  Failure,
  Grounding,
  MessageSource,
} from "../protocol";
import { type Action, NOTHING_FOUND, type Remark, type Step, stepForNotice } from "./steps";

/** A numbered source, of a new answer or of a stored message. */
export interface Source {
  number: number;
  path: string;
  label: string;
  /** Page or lines, as shown. */
  location: string;
  heading: string;
  text: string;
  startLine: number;
  endLine: number;
  page: number | null;
  documentId: number;
  cited: boolean;
  stale: boolean;
  suspicious: boolean;
  unsaved: boolean;
}

export interface Turn {
  id: string;
  role: "user" | "assistant";
  text: string;
  model: string | null;
  /** No model was available: the text gives the reason, and the sources are the answer. */
  passagesOnly: boolean;
  /** A warning that is shown with the answer. */
  caution: string | null;
  sources: Source[];
}

/** A question that is being answered, or whose answer failed. */
export interface Pending {
  question: string;
  answer: string;
  /** What the model thought before it answered. */
  thinking: string;
  /** What is done before the answer begins. */
  status: string | null;
  sources: Source[];
  state: "waiting" | "streaming" | "failed";
  failure?: Failure;
  /** Id of the question's message, once the server has stored it. */
  messageId?: string;
  /** Id of the message that the question replaces, together with all later messages. */
  replaces?: string;
}

export type Attachment =
  | {
      kind: "selection";
      path: string;
      label: string;
      startLine: number;
      endLine: number;
      language: string;
      text: string;
    }
  | { kind: "text"; label: string; text: string }
  | { kind: "scope"; path: string; label: string };

/** What can be attached by its name in the question. */
export type Mention =
  | { kind: "file" | "folder"; path: string; label: string; detail: string }
  | { kind: "selection"; label: string; detail: string };

export type Connection =
  | { state: "starting" }
  | { state: "ready" }
  | { state: "missing" }
  | { state: "stopped"; reason: string };

/** The part of the engine's status that the chat shows. */
export interface EngineSummary {
  documents: number;
  folders: number;
  /** Files that could not be indexed. */
  failed: number;
  /** Why the indexing of a folder is stopped, as a sentence. */
  stopped: string | null;
  indexing: { done: number; total: number | null } | null;
  /** Why texts cannot be embedded at present, as a sentence. */
  embedderReason: string | null;
  /** Whether the model server can be used; if not, the reason and the next step. */
  ollama: { reachable: boolean; reason: string | null; step: Step | null };
  models: string[];
  model: string | null;
  trusted: boolean;
}

/** A conversation that is being loaded, or failed to load. */
export interface Opening {
  failure?: Failure;
}

export interface ViewState {
  connection: Connection;
  engine: EngineSummary | null;
  /** Why the engine's status could not be requested. */
  failure: Failure | null;
  /** Id of the current conversation; null for a new one. */
  conversation: string | null;
  /** Set until the current conversation is loaded. */
  opening: Opening | null;
  title: string | null;
  turns: Turn[];
  pending: Pending | null;
  stats: AnswerStats | null;
  /** What the model thought before the last answer; not stored. */
  thinking: string;
  /** Remarks on the last answer. */
  remarks: Remark[];
  attachments: Attachment[];
}

export type ToView =
  | { type: "state"; state: Partial<ViewState> }
  | { type: "chunk"; text: string }
  | { type: "thinking"; text: string }
  | { type: "status"; text: string }
  | { type: "compose"; text: string | null }
  /** Answers the `suggest` of this number. */
  | { type: "suggestions"; number: number; mentions: Mention[] };

/** A question, with the conversation that was shown when it was sent. */
export interface TypedQuestion {
  question: string;
  conversation: string | null;
  useRag: boolean;
  /** Whether to search for each part of the question. */
  deep?: boolean;
  replaces?: string;
}

export type FromView =
  | { type: "ready" }
  | ({ type: "ask" } & TypedQuestion)
  | { type: "reload" }
  | { type: "stop" }
  | { type: "open"; source: Source; extracted: boolean }
  | { type: "copy"; text: string }
  | { type: "insert"; text: string }
  | { type: "attach" }
  | { type: "attachText"; label: string; text: string }
  | { type: "suggest"; number: number; query: string }
  | { type: "mention"; mention: Mention }
  /** Files and folders that were dropped or pasted, as URIs. */
  | { type: "drop"; uris: string[] }
  | { type: "detach"; index: number }
  | { type: "model"; name: string }
  | { type: "refresh" }
  | { type: "action"; action: Action };

export function sourceOf(from: Citation | MessageSource, content = ""): Source {
  const [passage, cited, { stale, suspicious }] =
    "passage" in from
      ? [from.passage, from.cited, from.passage]
      : [from, isCited(from.number, content), { stale: false, suspicious: false }];
  return {
    number: from.number,
    path: passage.path,
    label: basename(passage.path),
    location: locationLabel(passage),
    heading: passage.heading.join(" › "),
    text: passage.text,
    startLine: passage.startLine,
    endLine: passage.endLine,
    page: passage.page,
    documentId: passage.documentId,
    cited,
    stale,
    suspicious,
    unsaved: "passage" in from ? from.passage.unsaved : from.unsaved,
  };
}

/** All remarks on an answer: its warning, then its notices. */
export function remarksFor(answer: Answer): Remark[] {
  const caution = answer.grounding === "cut_off" ? null : cautionFor(answer.grounding);
  return [...(caution === null ? [] : [{ text: caution, step: null }]), ...noticeRemarks(answer)];
}

const CAUTIONS: Partial<Record<Grounding, string>> = {
  uncited: "This answer cites no source. Check it before relying on it.",
  partial: "This answer contains a figure that no source has. Check it before relying on it.",
  disputed: "The sources disagree about this. Compare them before relying on this answer.",
  cut_off: "This answer is incomplete: it was cut off.",
};

/** The warning that belongs to an answer, also when it is loaded later. */
export function cautionFor(grounding: Grounding | null): string | null {
  return (grounding && CAUTIONS[grounding]) ?? null;
}

/** What limited an answer, with the next step. */
export function noticeRemarks(answer: Answer): Remark[] {
  const { notice, noticeCode, stats } = answer;
  const remarks: Remark[] = [];
  if (stats.truncated) {
    remarks.push({ text: "The answer was cut off at the model's length limit.", step: null });
  }
  // The answer itself says that nothing was found; only the next step is missing.
  const isNothing = answer.grounding === "declined" && !answer.citations.length;
  const step = stepForNotice(noticeCode) ?? (isNothing ? NOTHING_FOUND : null);
  if (notice !== null || step) remarks.push({ text: notice, step });
  return remarks;
}

/** A passage's location in short form: its page, or its lines. */
export function locationLabel(at: {
  page: number | null;
  startLine: number;
  endLine: number;
}): string {
  if (at.page !== null) return `p. ${at.page}`;
  return at.startLine === at.endLine ? `${at.startLine}` : `${at.startLine}–${at.endLine}`;
}

export function basename(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== "") ?? path;
}

function isCited(number: number, content: string): boolean {
  return content.includes(`[${number}]`);
}

/** The part of the index that a question is restricted to. */
export function scopeOf(attachments: readonly Attachment[]): Pick<AskParams, "workspace" | "path"> {
  const paths = attachments.flatMap((a) => (a.kind === "scope" ? [a.path] : []));
  if (paths.length < 2) return { workspace: paths[0] };
  // In a list of patterns, commas and braces of a name are matched as any character.
  return { workspace: "all", path: paths.map((path) => path.replace(/[,{}]/g, "?")).join(", ") };
}

/** The question as it is sent to the model: its text, then the attached texts. */
export function withSelections(question: string, attachments: readonly Attachment[]): string {
  const parts = [question.trim()];
  for (const a of attachments) {
    if (a.kind === "scope") continue;
    const fence = "`".repeat(Math.max(3, longestFence(a.text) + 1));
    const language = a.kind === "selection" ? a.language : "";
    parts.push(`${a.label}:\n${fence}${language}\n${a.text}\n${fence}`);
  }
  return parts.filter(Boolean).join("\n\n");
}

function longestFence(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`{3,}/g)].map((m) => m[0].length));
}
