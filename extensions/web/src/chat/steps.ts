/** Next steps for failures and notices: the button that is shown for each code of the server. */
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
  | "sync"
  | "doctor"
  | "trust"
  | "newChat"
  | "conversations"
  | "search"
  | "startOllama";

export interface Step {
  label: string;
  action: Action;
}

/** A sentence beside an answer or above search results; `text` is null for a button alone. */
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
  full_text_down: CHECK,
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
  full_text_down: CHECK,
  error: LOG,
};

/** The next step for a failure; null when the user can only retry. */
export function stepForFailure(code: string): Step | null {
  return FAILURES[code] ?? null;
}

/** The next step for a search whose results may be incomplete. */
export function stepForNotice(code: NoticeCode | null): Step | null {
  // A newer server may send codes that this version does not know.
  return code === null ? null : (LIMITS[code] ?? null);
}

/** The next step when the model server cannot be used. */
export function stepForModelServer({ provider, reasonCode }: OllamaStatus): Step | null {
  const isDown = provider === "ollama" && reasonCode === "provider_unreachable";
  if (isDown) return { label: "How to start Ollama", action: "startOllama" };
  return reasonCode === null ? null : (stepForFailure(reasonCode) ?? CHECK);
}

/** The next step when no passage matches. */
export const NOTHING_FOUND: Step = DOCUMENTS;

/** The remark above search results: why they are incomplete, or that there are none. */
export function searchRemark(
  found: Pick<SearchResult, "passages" | "notice" | "noticeCode">,
): Remark | null {
  if (found.notice !== null) return { text: found.notice, step: stepForNotice(found.noticeCode) };
  if (found.passages.length) return null;
  const step: Step = { label: "Explain the search", action: "explain" };
  return { text: "No passage matches.", step };
}

/** The message for a failure, and its button: the next step, or else the log. */
export function failureMessage(failure: { code: string; message: string; hint: string | null }) {
  const text = failure.hint ? `${failure.message} ${failure.hint}` : failure.message;
  return { text, step: stepForFailure(failure.code) ?? LOG };
}
