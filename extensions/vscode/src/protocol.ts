/**
 * What the server understands: one request per operation, and the values that travel.
 * Written by `python -m extensions.generate` from the server's operations and its model.
 */
import { ProgressType, RequestType } from "vscode-languageclient/node";

/** The `data` of a JSON-RPC error for a failure the server foresees. */
export interface Failure {
  code: string;
  message: string;
  hint: string | null;
}

export type Role = "user" | "assistant" | "system";

export type Grounding = "cited" | "uncited" | "declined" | "none" | "cut_off";

export type DocumentState = "indexed" | "skipped" | "failed";

export type NoticeCode = "indexing" | "nothing_indexed" | "no_match_for_path" | "embedder_unavailable";

export type Outcome = "shown" | "joined" | "repeats" | "overlaps" | "below_threshold" | "over_limit" | "not_rescored";

/** A file and why it was skipped or failed. */
export interface FileReason {
  path: string;
  reason: string;
}

/** What was removed from the index; nothing on disk is touched. */
export interface ForgetReport {
  path: string;
  documents: number;
  chunks: number;
  workspaceRemoved: boolean;
  notice: string | null;
}

/** What an ingestion did, counted in documents but for `chunks` (written) and `seconds`. */
export interface IngestReport {
  indexed: number;
  updated: number;
  unchanged: number;
  removed: number;
  skipped: FileReason[];
  failed: FileReason[];
  chunks: number;
  seconds: number;
  notice: string | null;
}

/** Work that outlives the call that began it. */
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

/** A model the provider offers. `context_length` in tokens, `size` in bytes, None if unknown. */
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

/** The models of the configured provider, and the one in use. */
export interface ModelList {
  models: ModelInfo[];
  inUse: string | null;
  provider: string;
}

/** An answer with its sources. `passages_only`: no model could be asked; `text` says why. */
export interface Answer {
  text: string;
  citations: Citation[];
  conversationId: string;
  messageId: string;
  model: string | null;
  mode: "generated" | "passages_only";
  stats: AnswerStats;
  notice: string | null;
  grounding: Grounding;
  noticeCode: NoticeCode | null;
}

/** How an answer came about. Times in milliseconds; None where nothing was generated. */
export interface AnswerStats {
  retrievalMs: number;
  firstTokenMs: number | null;
  totalMs: number;
  promptTokens: number | null;
  answerTokens: number | null;
  truncated: boolean;
}

/** A numbered source that the model was given; `cited` when `[number]` is in its answer. */
export interface Citation {
  number: number;
  passage: Passage;
  cited: boolean;
}

/** A chat, shared by all clients. `messages` is empty where only a list was asked for. */
export interface Conversation {
  id: string;
  title: string;
  createdAt: string;
  updatedAt: string;
  messageCount: number;
  messages: Message[];
}

/** Conversations, the latest first; pass `next_cursor` to get older ones. */
export interface ConversationPage {
  conversations: Conversation[];
  total: number;
  nextCursor: string | null;
}

/** A conversation as one Markdown document. */
export interface Export {
  title: string;
  markdown: string;
}

/** One turn of a conversation. */
export interface Message {
  id: string;
  role: Role;
  content: string;
  model: string | null;
  createdAt: string;
  sources: MessageSource[];
  grounding: Grounding | null;
}

/** A source as it was when it was cited; it outlives changes of the file. */
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

/** A page of the ledger; pass `next_cursor` to get the next one. */
export interface DocumentPage {
  documents: DocumentRow[];
  total: number;
  nextCursor: string | null;
}

/** A ledger row as people see it. */
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

/** Lines of a document, `start_line` to `end_line` of `total_lines`. */
export interface Excerpt {
  path: string;
  text: string;
  startLine: number;
  endLine: number;
  totalLines: number;
  uri: string;
  source: "disk" | "index";
}

/** A search measured on `questions` questions. The last of the stages is what is shown. */
export interface Evaluation {
  questions: number;
  topK: number;
  stages: StageScores[];
  ranks: QuestionRank[];
  settings: Record<string, string>;
  searchMs: number;
  before: Evaluation | null;
  better: number;
  worse: number;
  notice: string | null;
}

/** The place of the first expected passage among those that were shown, None without one. */
export interface QuestionRank {
  question: string;
  rank: number | null;
}

/** How well one stage of the search finds what is expected; shares and means from 0 to 1. */
export interface StageScores {
  stage: string;
  first: number;
  hit: number;
  mrr: number;
  ndcg: number;
}

/** A passage that a search considered: its rank and score after each stage, and the outcome. */
export interface Candidate {
  passage: Passage;
  dense: RankedScore | null;
  lexical: RankedScore | null;
  fused: RankedScore;
  rescored: RankedScore | null;
  reranked: RankedScore | null;
  outcome: Outcome;
  other: number | null;
}

/** How a search selected its passages. */
export interface Explanation {
  query: string;
  terms: string[];
  phrases: string[];
  stopWords: string[];
  candidates: Candidate[];
  reranker: string | null;
  notice: string | null;
  retrievalMs: number;
  noticeCode: NoticeCode | null;
}

/** A found chunk, maybe with its neighbour, and its exact place. */
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
  suspicious: boolean;
}

/** The rank of a candidate in one list, counted from 1, and its score there. */
export interface RankedScore {
  rank: number;
  score: number;
}

/** Ranked passages. `notice`: a sentence when the search was limited, such as words only. */
export interface SearchResult {
  passages: Passage[];
  notice: string | null;
  retrievalMs: number;
  noticeCode: NoticeCode | null;
}

/** One thing doctor looked at; `next_step` is set when something should be done. */
export interface Check {
  name: string;
  state: "ok" | "warning" | "failed";
  detail: string;
  nextStep: string | null;
}

/** Everything doctor looked at; `healthy` when nothing failed. */
export interface Diagnosis {
  healthy: boolean;
  checks: Check[];
}

/** A change that has nothing more to tell. */
export interface Done {
  message: string;
}

/** The embedder of this data directory; None for both until the first ingestion decides. */
export interface EmbedderStatus {
  name: string | null;
  dimensions: number | null;
  wanted: string | null;
  reason: string | null;
}

/** Whether the chat provider answers; `reason` is the sentence when it does not. */
export interface OllamaStatus {
  url: string;
  reachable: boolean;
  version: string | null;
  reason: string | null;
  provider: string;
  reasonCode: string | null;
}

/** The state of the engine. */
export interface Status {
  version: string;
  dataDir: string;
  embedder: EmbedderStatus;
  chatModel: string | null;
  ollama: OllamaStatus;
  vectors: VectorStatus;
  workspaces: WorkspaceStatus[];
  jobs: Job[];
  clients: number;
  pid: number;
}

/** Who serves vector search: `state` is ready, rebuilding, idle or down, with its reason. */
export interface VectorStatus {
  store: string;
  state: string;
  pending: number;
  reason: string | null;
}

/** A workspace in numbers. `pending`: known changes that are not in the index yet. */
export interface WorkspaceStatus {
  path: string;
  documents: number;
  chunks: number;
  pending: number;
  failed: number;
  skipped: number;
  watching: boolean;
  notice: string | null;
  approved: boolean;
  done: number | null;
  total: number | null;
  reason: string | null;
}

/** Comes first: the question is stored, as this message of this conversation. */
export interface AnswerStarted {
  kind: "started";
  conversationId: string;
  messageId: string;
}

/** The next words of an answer. `seq` counts the chunks from 0. */
export interface AnswerChunk {
  kind: "chunk";
  seq: number;
  text: string;
}

/** Comes last: the numbered passages the answer was made from. */
export interface AnswerSources {
  kind: "sources";
  citations: Citation[];
}

/** Find the passages that best match a query by meaning and words, with file, lines and page. */
export interface SearchParams {
  /** Words, a question or a symbol. */
  query: string;
  /** Maximum number of passages (default 5). */
  topK?: number;
  /** Only files that match this glob, such as src/**\/*.py. */
  path?: string;
  /** Only this workspace folder; `all` for every one. */
  workspace?: string;
}

/** Show why a search finds what it finds: every candidate's places and scores, and its end. */
export interface ExplainParams {
  /** The query, as it is searched for. */
  query: string;
  /** How many passages (default 5). */
  topK?: number;
  /** Only files that match this glob, such as src/**\/*.py. */
  path?: string;
  /** Only this workspace folder; `all` for every one. */
  workspace?: string;
}

/** Measure search on questions whose answers are known: hit@k, MRR and nDCG of each stage. */
export interface EvalParams {
  /** A file of JSON lines or CSV: `question`, and the `path`, `text` or `lines` to be found. */
  questions: string;
  /**
   * Have the chat model write so many questions about the indexed documents into that file, which
   * must be a new one.
   */
  generate?: number;
  /** How many passages of a search are looked at. */
  topK?: number;
  /** Only files that match this glob, such as src/**\/*.py. */
  path?: string;
  /** Only this workspace folder; `all` for every one. */
  workspace?: string;
  /** An earlier result, as JSON, to compare with. */
  against?: string;
  /** An SVG file to draw the result into. */
  picture?: string;
}

/** Answer a question from the user's documents, with numbered sources. */
export interface AskParams {
  /** The question, in plain language. */
  question: string;
  /** Continue this conversation. */
  conversationId?: string;
  /** false: a plain chat without the documents. */
  useRag?: boolean;
  /** Another chat model than the one in use. */
  model?: string;
  /**
   * Ask in the place of this message: its turn and all later ones go, once the new answer begins.
   */
  replaces?: string;
  /** Maximum number of passages (default 5). */
  topK?: number;
  /** Only files that match this glob, such as src/**\/*.py. */
  path?: string;
  /** Only this workspace folder; `all` for every one. */
  workspace?: string;
}

/** Read lines of an indexed document, or the surroundings of a passage. */
export interface ReadParams {
  /** A file path (a.md, a.md:3-7), an allma:// URI or a chunk id. */
  source: string;
  /** First line to read. */
  startLine?: number;
  /** Last line to read. */
  endLine?: number;
  /** With a chunk id: chunks before and after it. */
  neighbors?: number;
}

/** Index folders or files, and follow their changes. */
export interface IngestParams {
  /** Folders or files. */
  paths: string[];
  /** Answer with the job after so many seconds, while it goes on. */
  waitSeconds?: number;
}

/** Update the index from the disk now. */
export interface SyncParams {
  /** Only this workspace, or this part of one; all of them without it. */
  path?: string;
}

/** Remove a file, folder or workspace from the index, never from disk. */
export interface ForgetParams {
  /** A file, a folder or a workspace that is indexed. */
  path: string;
}

/** List the files of the workspaces, and why one was skipped or failed. */
export interface DocumentsParams {
  /** Only this workspace folder. */
  workspace?: string;
  /** Only these. */
  state?: DocumentState;
  /** next_cursor of the previous page. */
  cursor?: string;
  /** Rows in a page. */
  limit?: number;
}

/** List them, the latest first. */
export interface ConversationsListParams {
  /** Only those with these words. */
  query?: string;
  /** next_cursor of the previous page. */
  cursor?: string;
  /** Rows in a page. */
  limit?: number;
}

/** Show messages and sources of one. */
export interface ConversationsShowParams {
  /** A conversation's id. */
  id: string;
}

/** Change a title. */
export interface ConversationsRenameParams {
  /** A conversation's id. */
  id: string;
  /** The new title. */
  title: string;
}

/** Delete one with all its messages. */
export interface ConversationsDeleteParams {
  /** A conversation's id. */
  id: string;
}

/** Export one as Markdown. */
export interface ConversationsExportParams {
  /** A conversation's id. */
  id: string;
}

/** List the installed models. */
export type ModelsListParams = Record<string, never>;

/** Show size, context and capabilities. */
export interface ModelsShowParams {
  /** A model's name, such as llama3.2:3b. */
  name: string;
}

/** Choose the model that answers. */
export interface ModelsUseParams {
  /** A model's name, such as llama3.2:3b. */
  name: string;
}

/** Download a model. */
export interface ModelsPullParams {
  /** A model's name, such as llama3.2:3b. */
  name: string;
}

/** Delete a model from disk. */
export interface ModelsDeleteParams {
  /** A model's name, such as llama3.2:3b. */
  name: string;
}

/** Tell what is indexed and pending, which models serve, and how a job is doing. */
export interface StatusParams {
  /** Only this job's progress. */
  jobId?: string;
}

/** Stop a job. What it has done so far stays. */
export interface JobsCancelParams {
  /** The job to stop. */
  jobId: string;
}

/** Check everything Allma depends on, with the next step for whatever is wrong. */
export type DoctorParams = Record<string, never>;

/** Put the index right: what is incomplete is read again, and the search indexes built anew. */
export type RepairParams = Record<string, never>;

/** Copy the index and the conversations into one file, to be imported elsewhere. */
export interface ExportParams {
  /** The file to write; it must be a new one. */
  path: string;
}

/** Settings that are the server's, below the section `allma`. */
export const SERVER_SETTINGS = [
  "chatModel",
  "topK",
  "workspace",
  "indexWorkspaceFolders",
] as const;

/** What comes over `partialResultToken` while an answer is written. */
export type AskProgress = AnswerStarted | AnswerChunk | AnswerSources;

export const askProgress = new ProgressType<AskProgress>();

/** Every operation: what it is given, and what comes back. */
export interface Operations {
  search: [SearchParams, SearchResult];
  explain: [ExplainParams, Explanation];
  eval: [EvalParams, Evaluation];
  ask: [AskParams, Answer];
  read: [ReadParams, Excerpt];
  ingest: [IngestParams, IngestReport | Job];
  sync: [SyncParams, IngestReport | Job];
  forget: [ForgetParams, ForgetReport];
  documents: [DocumentsParams, DocumentPage];
  "conversations.list": [ConversationsListParams, ConversationPage];
  "conversations.show": [ConversationsShowParams, Conversation];
  "conversations.rename": [ConversationsRenameParams, Conversation];
  "conversations.delete": [ConversationsDeleteParams, Done];
  "conversations.export": [ConversationsExportParams, Export];
  "models.list": [ModelsListParams, ModelList];
  "models.show": [ModelsShowParams, ModelInfo];
  "models.use": [ModelsUseParams, Done];
  "models.pull": [ModelsPullParams, Done];
  "models.delete": [ModelsDeleteParams, Done];
  status: [StatusParams, Status | Job];
  "jobs.cancel": [JobsCancelParams, Job];
  doctor: [DoctorParams, Diagnosis];
  repair: [RepairParams, Diagnosis];
  export: [ExportParams, Done];
}

/** Tokens under which the client hears of a request's progress. */
interface Tokens {
  workDoneToken?: string;
  partialResultToken?: string;
}

const request = <N extends keyof Operations>(name: N) =>
  new RequestType<Operations[N][0] & Tokens, Operations[N][1], Failure>(`allma/${name}`);

export const search = request("search");
export const explain = request("explain");
export const evalOperation = request("eval");
export const ask = request("ask");
export const read = request("read");
export const ingest = request("ingest");
export const sync = request("sync");
export const forget = request("forget");
export const documents = request("documents");
export const conversationsList = request("conversations.list");
export const conversationsShow = request("conversations.show");
export const conversationsRename = request("conversations.rename");
export const conversationsDelete = request("conversations.delete");
export const conversationsExport = request("conversations.export");
export const modelsList = request("models.list");
export const modelsShow = request("models.show");
export const modelsUse = request("models.use");
export const modelsPull = request("models.pull");
export const modelsDelete = request("models.delete");
export const status = request("status");
export const jobsCancel = request("jobs.cancel");
export const doctor = request("doctor");
export const repair = request("repair");
export const exportOperation = request("export");
