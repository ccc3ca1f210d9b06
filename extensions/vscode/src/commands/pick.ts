/** A quick pick whose items the server finds, again with every pause in typing. */
import * as vscode from "vscode";
import { COMMANDS, popup } from "../chat/steps";
import { failureOf } from "../failures";

const PAUSE_MS = 150;

export interface Choice<T> extends vscode.QuickPickItem {
  value: T;
}

/** Stands above what was found, and does something when it is chosen. */
export interface Note extends vscode.QuickPickItem {
  run?: () => unknown;
}

interface Item<T> extends Note {
  value: T | undefined;
}

export interface Picking<T> {
  title: string;
  placeholder: string;
  query?: string;
  find(
    query: string,
    token: vscode.CancellationToken,
  ): Promise<{ choices: Choice<T>[]; note?: Note }>;
  /** Called for the item that the cursor is on. */
  preview?(value: T): void;
  buttons?: vscode.QuickInputButton[];
  onButton?(item: T): void;
  /** A button beside the title, for what is typed. */
  titleButton?: vscode.QuickInputButton;
  onTitleButton?(query: string): void;
}

/** The chosen value; undefined when the user changed their mind. */
export function pickAsYouType<T>(picking: Picking<T>): Promise<T | undefined> {
  const pick = vscode.window.createQuickPick<Item<T>>();
  pick.title = picking.title;
  pick.placeholder = picking.placeholder;
  pick.value = picking.query ?? "";
  pick.buttons = picking.titleButton ? [picking.titleButton] : [];
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
      const found = await picking.find(pick.value, cancellation.token);
      if (cancellation.token.isCancellationRequested) return;
      // The server has chosen; the pick's own filter would hide what matches by meaning.
      const notes = found.note ? [{ ...found.note, alwaysShow: true, value: undefined }] : [];
      const choices: Item<T>[] = found.choices.map((choice) => ({
        ...choice,
        alwaysShow: true,
        buttons: picking.buttons,
      }));
      pick.items = [...notes, ...choices];
      pick.activeItems = pick.items.slice(choices.length ? notes.length : 0).slice(0, 1);
    } catch (error) {
      if (cancellation.token.isCancellationRequested) return;
      pick.items = [{ ...noteOf(error), alwaysShow: true, value: undefined }];
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
      if (item?.value !== undefined) picking.preview?.(item.value);
    });
    pick.onDidTriggerItemButton(({ item }) => {
      if (item.value !== undefined) picking.onButton?.(item.value);
    });
    pick.onDidTriggerButton(() => {
      picking.onTitleButton?.(pick.value);
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

function noteOf(error: unknown): Note {
  const { text, step } = popup(failureOf(error));
  return {
    label: `$(error) ${text}`,
    detail: step.label,
    run: () => vscode.commands.executeCommand(COMMANDS[step.action]),
  };
}
