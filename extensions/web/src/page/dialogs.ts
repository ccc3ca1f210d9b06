/** Dialogs, and messages that disappear. */
import { type Child, h, withCode } from "../view/dom";

/** Asks for a confirmation; resolves to false if the dialog is closed. */
export async function confirmed(title: string, detail: string, action: string): Promise<boolean> {
  const given = await dialog(title, [h("p", {}, detail)], action);
  return given !== null;
}

/** Asks for a line of text; resolves to null if the dialog is closed, or the text is empty. */
export async function entered(
  title: string,
  { label, value = "", action }: { label: string; value?: string; action: string },
): Promise<string | null> {
  const input = h("input", {
    type: "text",
    name: "text",
    value,
    "aria-label": label,
    autofocus: true,
  });
  const given = await dialog(title, [input], action);
  return String(given?.get("text") ?? "").trim() || null;
}

/** Shows a text until the dialog is closed. */
export async function told(title: string, ...content: Child[]): Promise<void> {
  await dialog(title, content, null);
}

/** Offers choices; resolves to null if the dialog is closed. */
export async function chosen<T>(
  title: string,
  choices: readonly { label: string; detail: string; value: T }[],
): Promise<T | null> {
  const rows = choices.map(({ label, detail }, index) =>
    h(
      "button",
      { type: "submit", class: "choice", name: "choice", value: String(index) },
      h("span", {}, label),
      h("small", {}, detail),
    ),
  );
  const given = await dialog(title, rows, null);
  const index = given?.get("choice");
  return typeof index === "string" ? (choices[Number(index)]?.value ?? null) : null;
}

function dialog(title: string, content: readonly Child[], action: string | null) {
  return new Promise<FormData | null>((resolve) => {
    let given: FormData | null = null;
    const form = h(
      "form",
      {
        method: "dialog",
        submit: (event) => {
          const { submitter } = event as SubmitEvent;
          if (submitter?.dataset.close === undefined) given = new FormData(form, submitter);
        },
      },
      h("h2", { id: "dialog-title" }, title),
      h("div", { class: "content" }, ...content),
      h(
        "div",
        { class: "buttons" },
        h(
          "button",
          { type: "submit", class: "secondary", "data-close": "" },
          action === null ? "Close" : "Cancel",
        ),
        action !== null && h("button", { type: "submit", class: "primary" }, action),
      ),
    );
    // Enter must not cancel: the action's button is the default one.
    if (action !== null) form.querySelector("[data-close]")?.setAttribute("type", "button");
    const element = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    form
      .querySelector("[data-close][type=button]")
      ?.addEventListener("click", () => element.close());
    element.addEventListener("close", () => {
      element.remove();
      resolve(given);
    });
    document.body.append(element);
    element.showModal();
  });
}

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

/** Shows a message for some seconds. */
export function toast(text: string): void {
  if (!toasts.isConnected) document.body.append(toasts);
  const message = h("p", {}, ...withCode(text));
  toasts.append(message);
  setTimeout(() => message.remove(), Math.max(4_000, text.length * 80));
}
