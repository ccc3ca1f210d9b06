/**
 * What the server understands: one request per operation, and the values that travel.
 * The names and shapes mirror the server's operations and its model; nothing here decides anything.
 */
import { type Position, ProgressType, type Range, RequestType } from "vscode-languageclient/node";

export type { Position, Range };

export interface Passage {
  path: string;
  workspace: string;
  documentId: number;
  chunkId: number;
  chunkIndex: number;
  text: string;
  score: number;
  startLine: number;
  endLine: number;
  page: number | null;
  heading: string[];
  uri: string;
  stale: boolean;
}

export interface SearchResult {
  passages: Passage[];
  notice: string | null;
  retrievalMs: number;
}

export interface Citation {
  number: number;
  passage: Passage;
  cited: boolean;
}

export interface AnswerStats {
  retrievalMs: number;
  firstTokenMs: number | null;
  totalMs: number;
  promptTokens: number | null;
  answerTokens: number | null;
  truncated: boolean;
}

export interface Answer {
  text: string;
  citations: Citation[];
  conversationId: string;
  messageId: string;
  model: string | null;
  mode: "generated" | "passages_only";
  stats: AnswerStats;
}

export interface MessageSource {
  number: number;
  documentId: number;
  chunkId: number;
  relevanceScore: number;
  path: string;
  startLine: number;
  endLine: number;
  page: number | null;
  heading: string[];
  text: string;
}

export interface Message {
  id: string;
  role: "user" | "assistant" | "system";
  content: string;
  model: string | null;
  createdAt: string;
  sources: MessageSource[];
}

export interface Conversation {
  id: string;
  title: string;
  createdAt: string;
  updatedAt: string;
  messageCount: number;
  messages: Message[];
}

export interface ConversationPage {
  conversations: Conversation[];
  total: number;
  nextCursor: string | null;
}

export interface Export {
  title: string;
  markdown: string;
}

export interface Excerpt {
  path: string;
  text: string;
  startLine: number;
  endLine: number;
  totalLines: number;
  uri: string;
  source: "disk" | "index";
}

export type DocumentState = "indexed" | "skipped" | "failed";

export interface DocumentRow {
  id: number;
  path: string;
  workspace: string;
  format: string;
  state: DocumentState;
  reason: string | null;
  title: string;
  size: number;
  chunks: number;
  indexedAt: string;
  uri: string;
}

export interface DocumentPage {
  documents: DocumentRow[];
  total: number;
  nextCursor: string | null;
}

export interface FileReason {
  path: string;
  reason: string;
}

export interface IngestReport {
  indexed: number;
  updated: number;
  unchanged: number;
  removed: number;
  skipped: FileReason[];
  failed: FileReason[];
  chunks: number;
  seconds: number;
}

export interface Job {
  id: string;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  path: string;
  done: number;
  total: number | null;
  message: string;
  createdAt: string;
  report: IngestReport | null;
}

export interface ForgetReport {
  path: string;
  documents: number;
  chunks: number;
  workspaceRemoved: boolean;
}

export interface ModelInfo {
  name: string;
  size: number | null;
  parameters: string | null;
  quantization: string | null;
  contextLength: number | null;
  capabilities: string[];
  modifiedAt: string | null;
  inUse: boolean;
}

export interface ModelList {
  models: ModelInfo[];
  inUse: string | null;
  provider: string;
}

export interface Done {
  message: string;
}

export interface WorkspaceStatus {
  path: string;
  documents: number;
  chunks: number;
  pending: number;
  failed: number;
  skipped: number;
  watching: boolean;
}

export interface Status {
  version: string;
  dataDir: string;
  embedder: { name: string | null; dimensions: number | null };
  chatModel: string | null;
  ollama: { url: string; reachable: boolean; version: string | null; reason: string | null };
  vectors: { store: string; state: string; pending: number; reason: string | null };
  workspaces: WorkspaceStatus[];
  jobs: Job[];
  clients: number;
  pid: number;
}

export interface Check {
  name: string;
  state: "ok" | "warning" | "failed";
  detail: string;
  nextStep: string | null;
}

export interface Diagnosis {
  healthy: boolean;
  checks: Check[];
}

/** The `data` of a JSON-RPC error for a failure the server foresees. */
export interface Failure {
  code: string;
  message: string;
  hint: string | null;
}

/** What comes over `partialResultToken` while an answer is written. */
export type AskProgress =
  | { kind: "chunk"; seq: number; text: string }
  | { kind: "sources"; citations: Citation[] };

export const askProgress = new ProgressType<AskProgress>();

interface Tokens {
  workDoneToken?: string;
}

export interface AskParams {
  question: string;
  conversationId?: string;
  useRag?: boolean;
  model?: string;
  topK?: number;
  path?: string;
  workspace?: string;
  partialResultToken?: string;
}

const request = <P, R>(name: string) => new RequestType<P, R, Failure>(`allma/${name}`);

export const ask = request<AskParams, Answer>("ask");
export const search = request<
  { query: string; topK?: number; path?: string; workspace?: string },
  SearchResult
>("search");
export const read = request<
  { source: string; startLine?: number; endLine?: number; neighbors?: number },
  Excerpt
>("read");
export const ingest = request<{ paths: string[] } & Tokens, IngestReport | Job>("ingest");
export const sync = request<{ path?: string } & Tokens, IngestReport | Job>("sync");
export const forget = request<{ path: string }, ForgetReport>("forget");
export const documents = request<
  { workspace?: string; state?: DocumentState; cursor?: string; limit?: number },
  DocumentPage
>("documents");
export const conversationsList = request<
  { query?: string; cursor?: string; limit?: number },
  ConversationPage
>("conversations.list");
export const conversationsShow = request<{ id: string }, Conversation>("conversations.show");
export const conversationsRename = request<{ id: string; title: string }, Conversation>(
  "conversations.rename",
);
export const conversationsDelete = request<{ id: string }, Done>("conversations.delete");
export const conversationsExport = request<{ id: string }, Export>("conversations.export");
export const modelsList = request<Record<string, never>, ModelList>("models.list");
export const modelsUse = request<{ name: string }, Done>("models.use");
export const modelsPull = request<{ name: string } & Tokens, Done>("models.pull");
export const modelsDelete = request<{ name: string }, Done>("models.delete");
export const status = request<Record<string, never>, Status>("status");
export const job = request<{ jobId: string }, Job>("status");
export const jobsCancel = request<{ jobId: string }, Job>("jobs.cancel");
export const doctor = request<Record<string, never>, Diagnosis>("doctor");
