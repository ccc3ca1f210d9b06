/** The chat: renders the state it receives, and posts what the user does. */
import type { EngineSummary, FromView, Source, ToView, Turn, ViewState } from "../chat/messages";
import { INITIAL, indexText, noticeOf, reduce } from "../chat/state";
import type { Action } from "../chat/steps";
import { Composer, type Draft } from "./composer";
import { codicon, h, withCode } from "./dom";
import { PassageCard } from "./passageCard";
import { openingElement, PendingElement, turnElement } from "./turns";

/** Where the chat is shown: an editor's webview, or a page. */
export interface Host {
  /** The actions that it has; all of them without a set. */
  actions?: ReadonlySet<Action>;
  post(message: FromView): void;
  saveDraft(draft: Draft): void;
  /** The text that was typed before the chat was closed. */
  draft?: Partial<Draft>;
}

const SUGGESTIONS = [
  "What is this project about?",
  "Where should I start reading?",
  "How are the tests run?",
];

/** The questions of the conversation, the latest first, each once. */
function questionsOf({ turns }: ViewState): string[] {
  const asked = turns.filter((turn) => turn.role === "user").map((turn) => turn.text);
  return [...new Set(asked.reverse())];
}

export class Chat {
  private state: ViewState = INITIAL;
  private scheduled = false;
  private following = true;
  private showFromQuestion = false;

  private readonly notice = h("section", { class: "notice", "aria-label": "Notice" });
  private readonly log = h("section", {
    class: "log",
    "aria-label": "Conversation",
    tabindex: "0",
    scroll: () => this.onScroll(),
    click: ({ target }) => this.onClick(target),
  });
  private readonly list = h("div");
  private readonly announcer = h("div", { class: "unseen", role: "status" });
  private readonly card = new PassageCard(this.log, (citation) => this.sourceOf(citation));
  private readonly composer: Composer;
  private pending: PendingElement;
  private readonly actions;

  /** Shows the chat in an element; the host is told when it is `ready`. */
  constructor(
    element: HTMLElement,
    private readonly host: Host,
  ) {
    this.actions = {
      post: host.post,
      offers: (action: Action) => host.actions?.has(action) ?? true,
      ask: (question: string, replaces?: string) => this.ask(question, replaces),
      edit: (question: Turn) => this.composer.edit(question),
      askAgain: (question: string, replaces?: string) => this.ask(question, replaces),
      questions: () => questionsOf(this.state),
      saveDraft: host.saveDraft,
    };
    this.composer = new Composer(this.actions, { draft: "", useRag: true, ...host.draft });
    this.pending = new PendingElement(this.actions);
    this.log.append(this.list);
    element.append(this.notice, this.log, this.composer.element, this.announcer, this.card.element);
    this.composer.dropsOn(element);
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (this.card.isOpen) this.card.close();
      else if (this.state.pending) host.post({ type: "stop" });
    });
    new ResizeObserver(() => this.follow()).observe(this.log);
    this.render();
    host.post({ type: "ready" });
  }

  receive(message: ToView): void {
    const before = this.state;
    this.state = reduce(before, message);
    this.announce(before, this.state);
    const last = this.state.turns.at(-1);
    // The best passage comes first, so show the beginning of such an answer, not its end.
    if (before.pending && !this.state.pending && last?.passagesOnly) this.showFromQuestion = true;
    if (message.type === "compose") this.composer.compose(message.text);
    if (message.type === "suggestions") this.composer.suggest(message);
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.render();
    });
  }

  private ask(question: string, replaces?: string): void {
    this.following = true;
    const { conversation } = this.state;
    const { documents: useRag, deep } = this.composer;
    this.host.post({ type: "ask", question, conversation, useRag, deep, replaces });
  }

  private onScroll(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.following = scrollHeight - scrollTop - clientHeight < 40;
  }

  private follow(): void {
    if (this.following) this.log.scrollTop = this.log.scrollHeight;
  }

  private onClick(target: EventTarget | null): void {
    if (!(target instanceof Element)) return;
    const button = target.closest<HTMLElement>("[data-source], [data-code]");
    if (!button) return;
    if (button.dataset.code) {
      const text = button.closest(".code")?.querySelector("code")?.textContent ?? "";
      this.host.post({ type: button.dataset.code === "copy" ? "copy" : "insert", text });
      return;
    }
    const source = this.sourceOf(button);
    this.card.close();
    if (source) this.host.post({ type: "open", source, extracted: false });
  }

  /** The source of a number in an answer. */
  private sourceOf(citation: HTMLElement): Source | undefined {
    const turn = citation.closest<HTMLElement>("[data-turn]")?.dataset.turn;
    const { turns, pending } = this.state;
    const sources = turns.find((t) => t.id === turn)?.sources ?? pending?.sources;
    return sources?.find((s) => String(s.number) === citation.dataset.source);
  }

  private render(): void {
    this.renderNotice();
    this.renderTurns();
    this.composer.update(this.state);
    this.composer.grow();
    if (this.showFromQuestion) {
      this.showFromQuestion = this.following = false;
      const question = this.list.lastElementChild?.previousElementSibling;
      question?.scrollIntoView({ block: "start" });
    } else this.follow();
  }

  private renderNotice(): void {
    const { notice } = this;
    const shown = noticeOf(this.state);
    const key = JSON.stringify(shown);
    if (notice.dataset.key === key) return;
    notice.dataset.key = key;
    notice.hidden = shown === null;
    if (!shown) return;
    const { post } = this.host;
    const buttons = shown.actions.map(({ label, action }) => {
      const isOffered = action === "refresh" || this.actions.offers(action);
      const click = () =>
        post(action === "refresh" ? { type: action } : { type: "action", action });
      return isOffered && h("button", { type: "button", class: "link", click }, label);
    });
    notice.replaceChildren(
      codicon(shown.icon),
      h("div", {}, h("p", {}, ...withCode(shown.text)), h("p", { class: "actions" }, ...buttons)),
    );
  }

  private renderTurns(): void {
    const { state, list, actions } = this;
    const elements = state.turns.map((turn, index) => this.turn(turn, index));
    if (state.pending) this.pending.update(state.pending);
    else this.pending = new PendingElement(actions);
    const isEmpty = !elements.length && !state.pending && !state.opening;
    const wanted = [
      ...elements,
      ...(state.pending ? [this.pending.element] : []),
      ...(state.opening && !state.pending ? [openingElement(state.opening, actions)] : []),
      ...(isEmpty ? [this.welcome()] : []),
    ];
    if (wanted.length !== list.children.length || wanted.some((e, i) => list.children[i] !== e)) {
      list.replaceChildren(...wanted);
    }
  }

  /** The element of a turn; the present one if it has not changed. */
  private turn(turn: Turn, index: number): HTMLElement {
    const { state } = this;
    const isLast = index === state.turns.length - 1;
    const question = isLast && !state.pending ? this.questionOf(turn, index) : null;
    const { stats, thinking, remarks } = isLast && turn.role === "assistant" ? state : INITIAL;
    const key = JSON.stringify([turn, question?.id, stats, thinking, remarks]);
    const shown = this.list.querySelector<HTMLElement>(`[data-turn="${CSS.escape(turn.id)}"]`);
    if (shown?.dataset.key === key) return shown;
    const element = turnElement(turn, question, { stats, thinking, remarks }, this.actions);
    element.dataset.turn = turn.id;
    element.dataset.key = key;
    return element;
  }

  /** The question of a turn, for the button that asks it again. */
  private questionOf(turn: Turn, index: number): Turn | null {
    if (turn.role === "user") return turn;
    const before = this.state.turns[index - 1];
    return before?.role === "user" ? before : null;
  }

  private welcome(): HTMLElement {
    const { connection, engine } = this.state;
    const ready = connection.state === "ready" ? engine : null;
    const suggestion = (question: string) =>
      h(
        "button",
        { type: "button", class: "suggestion", click: () => this.ask(question) },
        question,
      );
    return h(
      "div",
      { class: "welcome" },
      h("h2", {}, "Ask your folders and documents"),
      h("p", {}, "Answers come with sources that open at the exact line or page."),
      ready !== null &&
        ready.documents > 0 &&
        h(
          "p",
          { class: "facts" },
          codicon("library"),
          ` ${indexText(ready)} `,
          this.whyFailed(ready),
        ),
      ...(ready ? SUGGESTIONS.map(suggestion) : []),
    );
  }

  private whyFailed({ failed }: EngineSummary): HTMLElement | false {
    if (!failed || !this.actions.offers("documents")) return false;
    const click = () => this.host.post({ type: "action", action: "documents" });
    return h("button", { type: "button", class: "link", click }, "Show why");
  }

  /** Announces the state of the answer to screen readers. */
  private announce(before: ViewState, after: ViewState): void {
    const was = before.pending?.state;
    const is = after.pending?.state;
    if (is === "waiting" && was !== "waiting") this.announcer.textContent = "Answering…";
    else if (is === "failed" && was !== "failed") {
      this.announcer.textContent = after.pending?.failure?.message ?? "The answer failed.";
    } else if (was && !is) {
      const last = after.turns.at(-1);
      this.announcer.textContent = last?.role === "assistant" ? last.text : "Stopped.";
    }
  }
}
