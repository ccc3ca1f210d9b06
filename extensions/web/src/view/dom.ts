/** Creates elements in one expression. Strings become text nodes, never markup. */
export type Child = Node | string | false | null | undefined;

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
  element.append(...shown(children));
  return element;
}

/** The children that are to be shown: those that are not false, null or empty. */
export function shown(children: readonly Child[]): (Node | string)[] {
  return children.filter((child): child is Node | string => Boolean(child));
}

/** A text whose parts in backticks are code. */
export function withCode(text: string): (Node | string)[] {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
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
