/** What helps with a failure or a limited search: a button for each code the server gives. */
import type { NoticeCode, OllamaStatus, SearchResult } from "../protocol";

export type Action =
  | "install"
  | "restart"
  | "showLog"
  | "status"
  | "documents"
  | "explain"
  | "models"
  | "pullModel"
  | "ingest"
  | "doctor"
  | "trust"
  | "startOllama";

/** The commands behind the actions; `explain` takes the query. */
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
  doctor: "allma.vscode.doctor",
  trust: "workbench.trust.manage",
  startOllama: "allma.vscode.startOllama",
};

export interface Step {
  label: string;
  action: Action;
}

/** A sentence beside an answer or above what was found; null where the answer says it itself. */
export interface Remark {
  text: string | null;
  step: Step | null;
}

const CHECK: Step = { label: "Check everything", action: "doctor" };
const CHOOSE: Step = { label: "Choose a model", action: "models" };
const LOG: Step = { label: "Show log", action: "showLog" };
const DOCUMENTS: Step = { label: "Show documents", action: "documents" };

const LIMITS: Record<NoticeCode, Step> = {
  indexing: { label: "Show progress", action: "status" },
  nothing_indexed: { label: "Index files or folders", action: "ingest" },
  no_match_for_path: DOCUMENTS,
  embedder_unavailable: CHECK,
};

const FAILURES: Record<string, Step> = {
  server_missing: { label: "How to install it", action: "install" },
  not_running: { label: "Restart", action: "restart" },
  provider_unreachable: CHECK,
  api_key_refused: CHECK,
  model_not_found: CHOOSE,
  model_unsuitable: CHOOSE,
  input_too_long: CHOOSE,
  empty_answer: CHOOSE,
  document_not_found: DOCUMENTS,
  storage_error: CHECK,
  data_damaged: CHECK,
  disk_full: CHECK,
  vector_store_down: CHECK,
  error: LOG,
};

/** The step for a failure; null where trying again is all there is. */
export function stepAfter(code: string): Step | null {
  return FAILURES[code] ?? null;
}

/** The step for a search that may have found less than there is. */
export function stepFor(code: NoticeCode | null): Step | null {
  // A newer server may give codes that are not known here.
  return code === null ? null : (LIMITS[code] ?? null);
}

/** The step where the server of the models cannot be used. */
export function stepToModels({ provider, reasonCode }: OllamaStatus): Step | null {
  const isDown = provider === "ollama" && reasonCode === "provider_unreachable";
  if (isDown) return { label: "How to start Ollama", action: "startOllama" };
  return reasonCode === null ? null : (stepAfter(reasonCode) ?? CHECK);
}

/** The step where documents were searched, and nothing in them fits. */
export const NOT_FOUND: Step = DOCUMENTS;

/** What should be known about what a search found: why it is little, else that it is nothing. */
export function noteOn(
  found: Pick<SearchResult, "passages" | "notice" | "noticeCode">,
): Remark | null {
  if (found.notice !== null) return { text: found.notice, step: stepFor(found.noticeCode) };
  if (found.passages.length) return null;
  const step: Step = { label: "Explain the search", action: "explain" };
  return { text: "No passage matches.", step };
}

/** The text and the step of a failure's message; without a step the log is what tells more. */
export function popup(failure: { code: string; message: string; hint: string | null }) {
  const text = failure.hint ? `${failure.message} ${failure.hint}` : failure.message;
  return { text, step: stepAfter(failure.code) ?? LOG };
}
