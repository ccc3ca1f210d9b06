/** What the chat view and the extension say to each other, and the values both know. */
import type { Answer, AnswerStats, Citation, Grounding, MessageSource } from "../protocol";
import { type Action, NOT_FOUND, type Remark, type Step, stepFor } from "./steps";

/** A numbered source, whether it comes with a fresh answer or from the history. */
export interface Source {
  number: number;
  path: string;
  label: string;
  place: string;
  heading: string;
  text: string;
  startLine: number;
  endLine: number;
  page: number | null;
  documentId: number;
  cited: boolean;
  stale: boolean;
  suspicious: boolean;
}

export interface Turn {
  id: string;
  role: "user" | "assistant";
  text: string;
  model: string | null;
  /** No model could be asked: the text says why, and the sources are the answer. */
  passagesOnly: boolean;
  /** What should be said beside it. */
  caution: string | null;
  sources: Source[];
}

/** The question that is being answered, or that failed; null when nothing is under way. */
export interface Pending {
  question: string;
  answer: string;
  sources: Source[];
  state: "waiting" | "streaming" | "failed";
  failure?: Trouble;
  /** The question's message, once the server has it. */
  messageId?: string;
  /** The message whose place the question takes, with all that follow; when tried again, too. */
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
  | { kind: "scope"; path: string; label: string };

export type Connection =
  | { state: "starting" }
  | { state: "ready" }
  | { state: "missing" }
  | { state: "stopped"; reason: string };

/** How the engine is, as far as someone who chats cares. */
export interface EngineSummary {
  documents: number;
  folders: number;
  indexing: { done: number; total: number | null } | null;
  /** Why texts cannot be embedded now, a sentence. */
  embedderReason: string | null;
  /** Whether the server of the models answers, and if not, why and what helps. */
  ollama: { reachable: boolean; reason: string | null; step: Step | null };
  models: string[];
  model: string | null;
  trusted: boolean;
}

/** A conversation that is being read, or could not be. */
export interface Opening {
  failure?: Trouble;
}

/** A failure as people read it. */
export interface Trouble {
  code: string;
  message: string;
  hint: string | null;
}

export interface ViewState {
  connection: Connection;
  engine: EngineSummary | null;
  /** Why the server cannot tell how it is. */
  trouble: Trouble | null;
  /** The conversation that is shown and asked in; null for a new one. */
  conversation: string | null;
  /** Set until what the server has of it is shown. */
  opening: Opening | null;
  title: string | null;
  turns: Turn[];
  pending: Pending | null;
  stats: AnswerStats | null;
  /** What should be known about the last answer. */
  remarks: Remark[];
  attachments: Attachment[];
}

export type ToView =
  | { type: "state"; state: Partial<ViewState> }
  | { type: "chunk"; text: string }
  | { type: "compose"; text: string | null };

/** A question with the conversation that was on the screen when it was sent. */
export interface Typed {
  question: string;
  conversation: string | null;
  useRag: boolean;
  replaces?: string;
}

export type FromView =
  | { type: "ready" }
  | ({ type: "ask" } & Typed)
  | { type: "reload" }
  | { type: "stop" }
  | { type: "open"; source: Source; extracted: boolean }
  | { type: "copy"; text: string }
  | { type: "insert"; text: string }
  | { type: "attach" }
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
    place: placeOf(passage),
    heading: passage.heading.join(" › "),
    text: passage.text,
    startLine: passage.startLine,
    endLine: passage.endLine,
    page: passage.page,
    documentId: passage.documentId,
    cited,
    stale,
    suspicious,
  };
}

/** What should be known about an answer. */
export function remarksOn(answer: Answer): Remark[] {
  const caution = answer.grounding === "cut_off" ? null : cautionOn(answer.grounding);
  return [...(caution === null ? [] : [{ text: caution, step: null }]), ...limitsOf(answer)];
}

/** What should be said beside an answer as long as it is kept. */
export function cautionOn(grounding: Grounding | null): string | null {
  if (grounding === "cut_off") return "This answer is incomplete: it was cut off.";
  if (grounding !== "uncited") return null;
  return "This answer cites no source. Check it before relying on it.";
}

/** What kept an answer from being better, with the step that helps. */
export function limitsOf(answer: Answer): Remark[] {
  const { notice, noticeCode, stats } = answer;
  const remarks: Remark[] = [];
  if (stats.truncated) {
    remarks.push({ text: "The answer was cut: the model's limit was reached.", step: null });
  }
  // Where nothing was found, the answer is the sentence, and the step alone is missing.
  const isNothing = answer.grounding === "declined" && !answer.citations.length;
  const step = stepFor(noticeCode) ?? (isNothing ? NOT_FOUND : null);
  if (notice !== null || step) remarks.push({ text: notice, step });
  return remarks;
}

/** Where a passage stands, in few letters: its page, else its lines. */
export function placeOf(at: { page: number | null; startLine: number; endLine: number }): string {
  if (at.page !== null) return `p. ${at.page}`;
  return at.startLine === at.endLine ? `${at.startLine}` : `${at.startLine}–${at.endLine}`;
}

export function basename(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== "") ?? path;
}

function isCited(number: number, content: string): boolean {
  return content.includes(`[${number}]`);
}

/** The question as the model reads it: what was asked, then the selections it is about. */
export function withSelections(question: string, attachments: readonly Attachment[]): string {
  const parts = [question.trim()];
  for (const a of attachments) {
    if (a.kind !== "selection") continue;
    const fence = "`".repeat(Math.max(3, longestFence(a.text) + 1));
    parts.push(`${a.label}:\n${fence}${a.language}\n${a.text}\n${fence}`);
  }
  return parts.filter(Boolean).join("\n\n");
}

function longestFence(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`{3,}/g)].map((m) => m[0].length));
}
