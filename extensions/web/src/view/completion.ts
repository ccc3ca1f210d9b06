/** Completes mentions and commands while they are typed in the input. */

import { type Trigger, triggerAt } from "../chat/mentions";
import type { FromView, Mention } from "../chat/messages";
import type { Action } from "../chat/steps";
import { COMMANDS, type TypedCommand } from "./commands";
import { type Suggestion, Suggestions } from "./suggestions";

export interface CompletionActions {
  post(message: FromView): void;
  /** Whether the host has this action; a command without it is not offered. */
  offers(action: Action): boolean;
  models(): readonly string[];
  toggle(what: "deep" | "documents"): void;
  /** Called when a file or folder is mentioned. */
  useDocuments(): void;
  /** The text was changed by a suggestion. */
  changed(): void;
}

const ICONS = { file: "file", folder: "folder", selection: "selection" };

export class Completion {
  readonly suggestions: Suggestions;
  private trigger: Trigger | null = null;
  private number = 0;

  constructor(
    private readonly input: HTMLTextAreaElement,
    private readonly actions: CompletionActions,
  ) {
    this.suggestions = new Suggestions(input);
    input.addEventListener("click", () => this.update());
    input.addEventListener("keyup", ({ key }) => {
      if (/^(ArrowLeft|ArrowRight|Home|End)$/.test(key)) this.update();
    });
    input.addEventListener("blur", () => this.suggestions.hide());
  }

  onKey(event: KeyboardEvent): boolean {
    return this.suggestions.onKey(event);
  }

  /** Shows the mentions that the host found, unless the text has changed since. */
  receive(number: number, mentions: readonly Mention[]): void {
    if (number !== this.number || this.trigger?.kind !== "mention") return;
    const { query } = this.trigger;
    // Without an `@`, the word is as likely a heading or the number of an issue.
    const isMention = this.input.value[this.trigger.start] === "@" && query !== "";
    const none = isMention ? `No indexed file or folder matches “${query}”.` : "";
    this.suggestions.show(
      mentions.map((mention) => ({
        icon: ICONS[mention.kind],
        label: mention.label,
        detail: mention.detail,
        accept: () => this.acceptMention(mention),
      })),
      none,
    );
  }

  /** Called when the text or the cursor has changed. */
  update(): void {
    const { selectionStart, selectionEnd, value } = this.input;
    this.trigger = selectionStart === selectionEnd ? triggerAt(value, selectionStart) : null;
    this.number += 1;
    const { kind, query } = this.trigger ?? {};
    if (query === undefined) this.suggestions.hide();
    else if (kind === "mention") {
      this.actions.post({ type: "suggest", number: this.number, query });
    } else if (kind === "model") this.suggestions.show(this.modelsFor(query), "No such model.");
    else this.suggestions.show(this.commandsFor(query));
  }

  private commandsFor(query: string): Suggestion[] {
    const isOffered = ({ does }: TypedCommand) =>
      does === "deep" || does === "documents" || this.actions.offers(does);
    return COMMANDS.filter((each) => each.name.startsWith(query) && isOffered(each)).map(
      (command) => ({
        icon: command.icon,
        label: `/${command.name}`,
        detail: command.detail,
        accept: () => this.acceptCommand(command),
      }),
    );
  }

  private modelsFor(query: string): Suggestion[] {
    const accept = (name: string) => () => {
      this.replace("");
      this.actions.post({ type: "model", name });
    };
    return this.actions
      .models()
      .filter((name) => name.toLowerCase().includes(query.toLowerCase()))
      .map((name) => ({
        icon: "server-environment",
        label: name,
        detail: "",
        accept: accept(name),
      }));
  }

  private acceptCommand({ name, does }: TypedCommand): void {
    const isChoice = name === "model" && this.actions.models().length > 0;
    this.replace(isChoice ? "/model " : "");
    if (isChoice) return;
    if (does === "deep" || does === "documents") this.actions.toggle(does);
    else this.actions.post({ type: "action", action: does });
  }

  /** A file's name stays in the question; it is attached, too. */
  private acceptMention(mention: Mention): void {
    this.replace(mention.kind === "selection" ? "" : `${mention.label} `);
    if (mention.kind !== "selection") this.actions.useDocuments();
    this.actions.post({ type: "mention", mention });
  }

  /** Replaces what was typed of the suggestion. */
  private replace(text: string): void {
    const { input, trigger } = this;
    if (!trigger) return;
    input.setRangeText(text, trigger.start, input.selectionStart, "end");
    this.actions.changed();
  }
}
