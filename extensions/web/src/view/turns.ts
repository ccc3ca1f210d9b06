/** Renders the messages of a conversation. */
import type { FromView, Opening, Pending, Source, Turn } from "../chat/messages";
import { type Action, type Remark, type Step, stepForFailure } from "../chat/steps";
import type { AnswerStats } from "../protocol";
import { type Child, codicon, h, iconButton, shown, withCode } from "./dom";
import { renderBlocks, showBlocks } from "./markdown";

export interface TurnActions {
  post(message: FromView): void;
  /** Whether the host has this action; a step without it has no button. */
  offers(action: Action): boolean;
  edit(question: Turn): void;
  askAgain(question: string, replaces: string | undefined): void;
}

/** Statistics of an answer, the thinking before it, and the remarks on it. */
export interface AnswerDetails {
  stats: AnswerStats | null;
  thinking: string;
  remarks: Remark[];
}

/** One message. `question`: the question it belongs to, if that can be asked again. */
export function turnElement(
  turn: Turn,
  question: Turn | null,
  { stats, thinking, remarks }: AnswerDetails,
  actions: TurnActions,
): HTMLElement {
  const body = h("div", { class: "body" });
  showBlocks(body, renderBlocks(turn.text, turn.sources, turn.role === "user"));
  const isUser = turn.role === "user";
  return h(
    "article",
    { class: `turn ${turn.role}`, "aria-label": isUser ? "You asked" : "Answer" },
    turn.passagesOnly && h("p", { class: "kind" }, codicon("list-selection"), " Passages only"),
    thinking !== "" && thinkingElement(thinking),
    body,
    turn.caution !== null && remarkElement({ text: turn.caution, step: null }, actions),
    ...remarks.map((remark) => remarkElement(remark, actions)),
    sourcesElement(turn.sources, turn.passagesOnly, actions),
    h(
      "footer",
      {},
      turn.model ? h("span", { class: "model", title: statsText(stats) }, turn.model) : false,
      h("span", { class: "gap" }),
      iconButton("copy", isUser ? "Copy the question" : "Copy the answer", () =>
        actions.post({ type: "copy", text: turn.text }),
      ),
      isUser && iconButton("edit", "Edit and ask again", () => actions.edit(turn)),
      question &&
        iconButton("refresh", "Answer again", () => actions.askAgain(question.text, question.id)),
    ),
  );
}

function remarkElement({ text, step }: Remark, actions: TurnActions): HTMLElement {
  return h(
    "p",
    { class: "kind" },
    text !== null && codicon("warning"),
    text !== null && ` ${text} `,
    step !== null && stepButton(step, actions),
  );
}

function stepButton({ label, action }: Step, actions: TurnActions): HTMLElement | false {
  if (!actions.offers(action)) return false;
  const click = () => actions.post({ type: "action", action });
  return h("button", { type: "button", class: "link", click }, label);
}

/** The thinking of a model, folded. */
function thinkingElement(text: string): HTMLElement {
  return h(
    "details",
    { class: "thinking" },
    h("summary", {}, "Thinking"),
    h("p", { class: "quote long" }, text.trim()),
  );
}

/** The answer that is being generated, updated in place. */
export class PendingElement {
  readonly element: HTMLElement;
  private readonly question = h("article", { class: "turn user", "aria-label": "You asked" });
  private readonly body = h("div", { class: "body" });
  private readonly thought = h("p", { class: "quote long" });
  private readonly thinking = h(
    "details",
    { class: "thinking", hidden: true },
    h("summary", {}, "Thinking…"),
    this.thought,
  );
  private readonly state = h("p", { class: "waiting" });
  private readonly sources = h("div");
  private shown: Pending | undefined;

  constructor(private readonly actions: TurnActions) {
    const answer = h(
      "article",
      { class: "turn assistant", "aria-label": "Answer", "aria-busy": "true" },
      this.thinking,
      this.body,
      this.state,
      this.sources,
    );
    this.element = h("div", { class: "pending" }, this.question, answer);
  }

  update(pending: Pending): void {
    if (this.shown?.question !== pending.question) {
      const question = h("div", { class: "body" });
      showBlocks(question, renderBlocks(pending.question, [], true));
      this.question.replaceChildren(question);
    }
    const isShown =
      this.shown?.state === pending.state &&
      this.shown.failure === pending.failure &&
      this.shown.status === pending.status;
    if (!isShown) {
      this.state.replaceChildren(...shown(this.stateOf(pending)));
      this.state.hidden = pending.state === "streaming";
      this.state.className = pending.state === "failed" ? "failure" : "waiting";
    }
    if (this.shown?.sources !== pending.sources) {
      const sources = sourcesElement(pending.sources, false, this.actions);
      this.sources.replaceChildren(...(sources ? [sources] : []));
    }
    this.thinking.hidden = pending.thinking === "";
    this.thought.textContent = pending.thinking.trim();
    showBlocks(this.body, renderBlocks(pending.answer, pending.sources));
    this.shown = pending;
  }

  private stateOf(pending: Pending): Child[] {
    if (pending.state === "waiting") {
      return [codicon("loading"), ` ${pending.status ?? "Searching your documents…"}`];
    }
    if (!pending.failure) return [];
    const { code, message, hint } = pending.failure;
    const step = stepForFailure(code);
    return [
      codicon("error"),
      ...withCode(` ${message} ${hint ?? ""} `),
      step !== null && stepButton(step, this.actions),
      " ",
      h(
        "button",
        {
          type: "button",
          class: "link",
          click: () => this.actions.askAgain(pending.question, pending.replaces),
        },
        "Try again",
      ),
    ];
  }
}

/** The placeholder of a conversation that is loading, or the reason why it failed to load. */
export function openingElement({ failure }: Opening, actions: TurnActions): HTMLElement {
  if (!failure) return h("p", { class: "waiting" }, codicon("loading"), " Opening…");
  return h(
    "p",
    { class: "failure" },
    codicon("error"),
    ` This conversation could not be loaded. ${failure.message} ${failure.hint ?? ""} `,
    h(
      "button",
      { type: "button", class: "link", click: () => actions.post({ type: "reload" }) },
      "Try again",
    ),
  );
}

function sourcesElement(
  sources: readonly Source[],
  open: boolean,
  actions: TurnActions,
): HTMLElement | false {
  if (!sources.length) return false;
  const count = sources.length === 1 ? "1 source" : `${sources.length} sources`;
  const files = new Set(sources.map((s) => s.path)).size;
  const from = files < sources.length ? ` from ${files === 1 ? "1 file" : `${files} files`}` : "";
  // Small models often cite nothing; then no source is marked as unused.
  const isUnused = (source: Source) => !open && !source.cited && sources.some((s) => s.cited);
  return h(
    "details",
    {
      class: "sources",
      open,
    },
    h(
      "summary",
      { click: scrollToWhole },
      open ? `${count}${from}` : `What was used: ${count}${from}`,
    ),
    h("ol", {}, ...sources.map((source) => sourceElement(source, open, isUnused(source), actions))),
  );
}

function sourceElement(
  source: Source,
  quoted: boolean,
  unused: boolean,
  actions: TurnActions,
): HTMLElement {
  const open = (extracted: boolean) => actions.post({ type: "open", source, extracted });
  const label = `Source ${source.number}: ${source.label}, ${source.location}`;
  return h(
    "li",
    { class: unused ? "unused" : "", value: String(source.number) },
    h(
      "button",
      {
        type: "button",
        class: "source",
        title: `${source.path}:${source.startLine}`,
        "aria-label": label,
        click: () => open(false),
      },
      h("span", { class: "number", "aria-hidden": "true" }, String(source.number)),
      h("span", { class: "file" }, source.label),
      h("span", { class: "location" }, source.location),
    ),
    source.page !== null &&
      iconButton("file-text", `Show the text of source ${source.number}`, () => open(true)),
    source.heading !== "" && h("div", { class: "heading" }, source.heading),
    source.stale &&
      h("div", { class: "heading" }, codicon("history"), " The file changed since it was indexed"),
    source.unsaved &&
      h("div", { class: "heading" }, codicon("edit"), " Unsaved text of an open editor"),
    source.suspicious &&
      h("div", { class: "heading" }, codicon("shield"), " Possible prompt injection"),
    h("p", { class: quoted ? "quote long" : "quote" }, source.text.trim()),
  );
}

function statsText(stats: AnswerStats | null): string {
  if (!stats) return "The model that answered";
  const seconds = (stats.totalMs / 1000).toFixed(1);
  const tokens = stats.answerTokens === null ? "" : `, ${stats.answerTokens} tokens`;
  return `Answered in ${seconds} s${tokens}; sources found in ${stats.retrievalMs} ms${gateText(stats)}`;
}

/** What the model said when it was asked whether the sources have the answer. */
function gateText({ gate }: AnswerStats): string {
  if (!gate) return "";
  const [probability, threshold] = [gate.probability, gate.threshold].map((p) =>
    Math.round(p * 100),
  );
  const did = gate.refused ? "so it did not answer" : "so it answered";
  return `; it saw the answer in them with ${probability} % (threshold ${threshold} %), ${did}`;
}

/** Scrolls an opened list of sources into view. */
function scrollToWhole({ target }: Event): void {
  const details = (target as Element).closest("details");
  requestAnimationFrame(() => details?.scrollIntoView({ block: "nearest" }));
}
