/** Commands for chat models: select, download, delete. */

import { canChat } from "@allma/web/chat/engine";
import * as vscode from "vscode";
import * as rpc from "../protocol";
import type { CommandContext } from "./context";
import { withProgress } from "./progress";

const DELETE: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("trash"),
  tooltip: "Delete this model",
};

interface ModelChoice extends vscode.QuickPickItem {
  model?: rpc.ModelInfo;
}

export const choose = (context: CommandContext) => async () => {
  const { ctx } = context;
  const list = await ctx.request(rpc.modelsList, {});
  const pick = vscode.window.createQuickPick<ModelChoice>();
  pick.title = "Models";
  pick.placeholder = "Select the model that answers";
  pick.items = choices(list);
  pick.activeItems = pick.items.filter((item) => item.model?.inUse);
  const chosen = await new Promise<ModelChoice | undefined>((resolve) => {
    pick.onDidAccept(() => {
      resolve(pick.selectedItems[0]);
      pick.hide();
    });
    pick.onDidTriggerItemButton(({ item }) => {
      pick.hide();
      if (item.model) void remove(context, item.model);
    });
    pick.onDidHide(() => {
      resolve(undefined);
      pick.dispose();
    });
    pick.show();
  });
  if (!chosen) return;
  if (!chosen.model) await pull(context)();
  else await ctx.engine.useModel(chosen.model.name);
};

export const pull =
  ({ ctx }: CommandContext) =>
  async (given?: string) => {
    const name =
      given ??
      (await vscode.window.showInputBox({
        title: "Download a Model",
        prompt: "Name of the model in the Ollama library (ollama.com/library)",
        placeHolder: "llama3.2:3b",
        validateInput: (value) => (/\s/.test(value.trim()) ? "A name has no spaces." : undefined),
      }));
    if (!name?.trim()) return;
    const done = await withProgress(ctx, `Downloading ${name.trim()}`, (tokens, token) =>
      ctx.request(rpc.modelsPull, { name: name.trim(), ...tokens }, token),
    );
    await ctx.engine.refresh();
    void vscode.window.showInformationMessage(done.message);
  };

async function remove({ ctx }: CommandContext, model: rpc.ModelInfo): Promise<void> {
  const confirmed = await vscode.window.showWarningMessage(
    `Delete ${model.name} from disk?`,
    { modal: true, detail: "It can be downloaded again." },
    "Delete",
  );
  if (confirmed !== "Delete") return;
  await ctx.request(rpc.modelsDelete, { name: model.name });
  await ctx.engine.refresh();
}

function choices(list: rpc.ModelList): ModelChoice[] {
  const able = list.models.filter(canChat);
  const others = list.models.filter((model) => !canChat(model));
  return [
    ...able.map(choice),
    { label: "", kind: vscode.QuickPickItemKind.Separator },
    { label: "$(cloud-download) Download a model…", alwaysShow: true },
    ...(others.length
      ? [{ label: "Not for chatting", kind: vscode.QuickPickItemKind.Separator }]
      : []),
    ...others.map(choice),
  ];
}

function choice(model: rpc.ModelInfo): ModelChoice {
  return {
    label: `${model.inUse ? "$(check) " : ""}${model.name}`,
    description: modelFacts(model),
    buttons: [DELETE],
    model,
  };
}

/** Parameters, quantization, size and context length on one line. */
export function modelFacts(model: rpc.ModelInfo): string {
  return [
    model.parameters,
    model.quantization,
    model.size && `${(model.size / 1e9).toFixed(1)} GB`,
    model.contextLength && `${model.contextLength.toLocaleString("en")} tokens`,
  ]
    .filter(Boolean)
    .join(", ");
}
