/** A quick pick whose items are requested from the server, after each pause in typing. */

import { failureMessage } from "@allma/web/chat/steps";
import * as vscode from "vscode";
import { COMMANDS } from "../actions";
import { failureOf } from "../failures";

const PAUSE_MS = 150;

export interface Choice<T> extends vscode.QuickPickItem {
  value: T;
}

/** A note above the results; selecting it runs its action. */
export interface PickNote extends vscode.QuickPickItem {
  run?: () => unknown;
}

interface Item<T> extends PickNote {
  value: T | undefined;
}

export interface PickOptions<T> {
  title: string;
  placeholder: string;
  query?: string;
  find(
    query: string,
    token: vscode.CancellationToken,
  ): Promise<{ choices: Choice<T>[]; note?: PickNote }>;
  /** Called when an item becomes active. */
  preview?(value: T, query: string): void;
  buttons?: vscode.QuickInputButton[];
  onButton?(item: T): void;
  /** A button beside the title, which is passed the typed query. */
  titleButton?: vscode.QuickInputButton;
  onTitleButton?(query: string): void;
}

/** Returns the selected value; undefined if the pick was closed. */
export function pickAsYouType<T>(options: PickOptions<T>): Promise<T | undefined> {
  const pick = vscode.window.createQuickPick<Item<T>>();
  pick.title = options.title;
  pick.placeholder = options.placeholder;
  pick.value = options.query ?? "";
  pick.buttons = options.titleButton ? [options.titleButton] : [];
  pick.matchOnDescription = true;
  pick.matchOnDetail = true;
  let searching: vscode.CancellationTokenSource | undefined;
  let timer: NodeJS.Timeout | undefined;

  const find = async () => {
    searching?.cancel();
    const cancellation = new vscode.CancellationTokenSource();
    searching = cancellation;
    pick.busy = true;
    try {
      const found = await options.find(pick.value, cancellation.token);
      if (cancellation.token.isCancellationRequested) return;
      // `alwaysShow`: the pick's own filter would hide results that match by meaning only.
      const notes = found.note ? [{ ...found.note, alwaysShow: true, value: undefined }] : [];
      const choices: Item<T>[] = found.choices.map((choice) => ({
        ...choice,
        alwaysShow: true,
        buttons: options.buttons,
      }));
      pick.items = [...notes, ...choices];
      pick.activeItems = pick.items.slice(choices.length ? notes.length : 0).slice(0, 1);
    } catch (error) {
      if (cancellation.token.isCancellationRequested) return;
      pick.items = [{ ...failureNote(error), alwaysShow: true, value: undefined }];
    } finally {
      if (searching === cancellation) pick.busy = false;
      cancellation.dispose();
    }
  };

  return new Promise<T | undefined>((resolve) => {
    pick.onDidChangeValue(() => {
      clearTimeout(timer);
      timer = setTimeout(find, PAUSE_MS);
    });
    pick.onDidChangeActive(([item]) => {
      if (item?.value !== undefined) options.preview?.(item.value, pick.value);
    });
    pick.onDidTriggerItemButton(({ item }) => {
      if (item.value !== undefined) options.onButton?.(item.value);
    });
    pick.onDidTriggerButton(() => {
      options.onTitleButton?.(pick.value);
      pick.hide();
    });
    pick.onDidAccept(() => {
      const [item] = pick.selectedItems;
      if (item?.value === undefined && !item?.run) return;
      resolve(item.value);
      pick.hide();
      void item.run?.();
    });
    pick.onDidHide(() => {
      clearTimeout(timer);
      searching?.cancel();
      resolve(undefined);
      pick.dispose();
    });
    pick.show();
    void find();
  });
}

function failureNote(error: unknown): PickNote {
  const { text, step } = failureMessage(failureOf(error));
  return {
    label: `$(error) ${text}`,
    detail: step.label,
    run: () => vscode.commands.executeCommand(COMMANDS[step.action]),
  };
}
