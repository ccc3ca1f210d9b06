/** Creates elements in one expression. Strings become text nodes, never markup. */
type Child = Node | string | false | null | undefined;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | ((event: Event) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** An icon button; the label is its tooltip and its accessible name. */
export function iconButton(icon: string, label: string, click: () => void): HTMLButtonElement {
  return h(
    "button",
    { type: "button", class: "icon", title: label, "aria-label": label, click },
    codicon(icon),
  );
}

export function codicon(name: string): HTMLElement {
  return h("span", { class: `codicon codicon-${name}`, "aria-hidden": "true" });
}
