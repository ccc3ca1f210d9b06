/** The chat's webview: renders the state it receives, and posts what the user does. */
import "@vscode/codicons/dist/codicon.css";
import "./style.css";
import type { FromView, ToView, Turn, ViewState } from "../chat/messages";
import { Composer } from "./composer";
import { codicon, h } from "./dom";
import { INITIAL, indexText, noticeOf, reduce } from "./state";
import { openingElement, PendingElement, turnElement } from "./turns";

/** State that the editor saves while the view is hidden and across reloads. */
interface SavedState {
  draft: string;
  useRag: boolean;
  /** Id of the message that the draft will replace, and of its conversation. */
  replaces?: string;
  conversation?: string | null;
}

const SUGGESTIONS = [
  "What is this project about?",
  "Where should I start reading?",
  "How are the tests run?",
];

const editor = acquireVsCodeApi<SavedState>();
const saved: SavedState = { draft: "", useRag: true, ...editor.getState() };
const post = (message: FromView) => editor.postMessage(message);

let state: ViewState = INITIAL;
let scheduled = false;
let following = true;
let showFromQuestion = false;

const notice = h("section", { class: "notice", "aria-label": "Notice" });
const log = h("section", { class: "log", "aria-label": "Conversation", tabindex: "0" });
const list = h("div");
const announcer = h("div", { class: "unseen", role: "status" });
const actions = {
  post,
  ask,
  edit: (question: Turn) => composer.edit(question),
  askAgain: ask,
  lastQuestion: () => state.turns.findLast((turn) => turn.role === "user") ?? null,
  saveDraft: (saved: SavedState) => editor.setState(saved),
};
const composer = new Composer(actions, saved);
let pending = new PendingElement(actions);

log.append(list);
document.getElementById("app")?.append(notice, log, composer.element, announcer);

function ask(question: string, replaces?: string): void {
  following = true;
  const { conversation } = state;
  post({ type: "ask", question, conversation, useRag: composer.documents, replaces });
}

addEventListener("message", ({ data }: MessageEvent<ToView>) => {
  const before = state;
  state = reduce(state, data);
  announce(before, state);
  const last = state.turns.at(-1);
  // The best passage comes first, so show the beginning of such an answer, not its end.
  if (before.pending && !state.pending && last?.passagesOnly) showFromQuestion = true;
  if (data.type === "compose") composer.compose(data.text);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
});

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.pending) post({ type: "stop" });
});

log.addEventListener("scroll", () => {
  following = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
});

log.addEventListener("click", ({ target }) => {
  if (!(target instanceof Element)) return;
  const button = target.closest<HTMLElement>("[data-source], [data-code]");
  if (!button) return;
  if (button.dataset.code) {
    const text = button.closest(".code")?.querySelector("code")?.textContent ?? "";
    post({ type: button.dataset.code === "copy" ? "copy" : "insert", text });
    return;
  }
  const turn = button.closest<HTMLElement>("[data-turn]")?.dataset.turn;
  const sources = state.turns.find((t) => t.id === turn)?.sources ?? state.pending?.sources;
  const source = sources?.find((s) => String(s.number) === button.dataset.source);
  if (source) post({ type: "open", source, extracted: false });
});

function render(): void {
  renderNotice();
  renderTurns();
  composer.update(state);
  composer.grow();
  if (showFromQuestion) {
    showFromQuestion = following = false;
    list.lastElementChild?.previousElementSibling?.scrollIntoView({ block: "start" });
  } else if (following) log.scrollTop = log.scrollHeight;
}

function renderNotice(): void {
  const shown = noticeOf(state);
  const key = JSON.stringify(shown);
  if (notice.dataset.key === key) return;
  notice.dataset.key = key;
  notice.hidden = shown === null;
  if (!shown) return;
  const buttons = shown.actions.map(({ label, action }) =>
    h(
      "button",
      {
        type: "button",
        class: "link",
        click: () => post(action === "refresh" ? { type: "refresh" } : { type: "action", action }),
      },
      label,
    ),
  );
  notice.replaceChildren(
    codicon(shown.icon),
    h("div", {}, h("p", {}, shown.text), h("p", { class: "actions" }, ...buttons)),
  );
}

function renderTurns(): void {
  const elements = state.turns.map((turn, index) => {
    const isLast = index === state.turns.length - 1;
    const question = isLast && !state.pending ? questionOf(turn, index) : null;
    const { stats, remarks } = isLast && turn.role === "assistant" ? state : INITIAL;
    const key = JSON.stringify([turn, question?.id, stats, remarks]);
    const shown = list.querySelector<HTMLElement>(`[data-turn="${CSS.escape(turn.id)}"]`);
    if (shown?.dataset.key === key) return shown;
    const element = turnElement(turn, question, { stats, remarks }, actions);
    element.dataset.turn = turn.id;
    element.dataset.key = key;
    return element;
  });
  if (state.pending) pending.update(state.pending);
  else pending = new PendingElement(actions);
  const isEmpty = !elements.length && !state.pending && !state.opening;
  const wanted = [
    ...elements,
    ...(state.pending ? [pending.element] : []),
    ...(state.opening && !state.pending ? [openingElement(state.opening, actions)] : []),
    ...(isEmpty ? [welcome()] : []),
  ];
  if (wanted.length !== list.children.length || wanted.some((e, i) => list.children[i] !== e)) {
    list.replaceChildren(...wanted);
  }
}

/** The question of a turn, for the button that asks it again. */
function questionOf(turn: Turn, index: number): Turn | null {
  if (turn.role === "user") return turn;
  const before = state.turns[index - 1];
  return before?.role === "user" ? before : null;
}

function welcome(): HTMLElement {
  const ready = state.connection.state === "ready" && state.engine;
  return h(
    "div",
    { class: "welcome" },
    h("h2", {}, "Ask your folders and documents"),
    h("p", {}, "Answers come with sources that open at the exact line or page."),
    ready && state.engine && state.engine.documents > 0
      ? h("p", { class: "facts" }, codicon("library"), ` ${indexText(state.engine)}`)
      : false,
    ...(ready
      ? SUGGESTIONS.map((question) =>
          h(
            "button",
            { type: "button", class: "suggestion", click: () => ask(question) },
            question,
          ),
        )
      : []),
  );
}

/** Announces the state of the answer to screen readers. */
function announce(before: ViewState, after: ViewState): void {
  const was = before.pending?.state;
  const is = after.pending?.state;
  if (is === "waiting" && was !== "waiting") announcer.textContent = "Answering…";
  else if (is === "failed" && was !== "failed") {
    announcer.textContent = after.pending?.failure?.message ?? "The answer failed.";
  } else if (was && !is) {
    const last = after.turns.at(-1);
    announcer.textContent = last?.role === "assistant" ? last.text : "Stopped.";
  }
}

new ResizeObserver(() => {
  if (following) log.scrollTop = log.scrollHeight;
}).observe(log);

render();
post({ type: "ready" });
