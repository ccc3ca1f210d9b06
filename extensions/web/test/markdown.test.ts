import { describe, expect, test } from "vitest";
import type { Source } from "../src/chat/messages";
import { renderBlocks, showBlocks } from "../src/view/markdown";

const SOURCE: Source = {
  number: 1,
  path: "/w/docs/retries.md",
  label: "retries.md",
  location: "3–9",
  heading: "",
  text: "seven times",
  startLine: 3,
  endLine: 9,
  page: null,
  documentId: 4,
  cited: true,
  stale: false,
  suspicious: false,
  unsaved: false,
};

function shown(text: string, sources: Source[] = []): HTMLElement {
  const element = document.createElement("div");
  showBlocks(element, renderBlocks(text, sources));
  return element;
}

describe("an answer", () => {
  test.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![pixel](https://example.org/p.png)",
    "[x](javascript:alert(1))",
    "[x](command:workbench.action.quit)",
    "[x](file:///etc/passwd)",
    "[x](data:text/html,hi)",
    "[1](javascript:alert(1))",
    "```js\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
  ])("cannot do anything with %s", (text) => {
    const element = shown(text, [SOURCE]);
    expect(element.querySelector("script, img, iframe, object, style, link, form")).toBeNull();
    for (const node of element.querySelectorAll("*")) {
      for (const { name, value } of node.attributes) {
        expect(name).not.toMatch(/^on/);
        if (name === "href") expect(value).toMatch(/^(https?|mailto):/);
      }
    }
  });

  test("has a button for each source it cites", () => {
    const button = shown("Seven times [1].", [SOURCE]).querySelector("button.cite");
    expect(button?.getAttribute("data-source")).toBe("1");
    expect(button?.getAttribute("aria-label")).toBe("Source 1: retries.md, 3–9");
  });

  test("shows a number without a source as plain text, as while it streams", () => {
    const element = shown("Seven times [2].", [SOURCE]);
    expect(element.querySelector("button")).toBeNull();
    expect(element.textContent).toContain("2");
  });

  test("leaves brackets in code alone", () => {
    const element = shown("`a[1]` and\n\n```python\nb[1]\n```", [SOURCE]);
    expect(element.querySelector(".cite")).toBeNull();
    expect(element.textContent).toContain("b[1]");
  });

  test("highlights code, with the plain code to copy", () => {
    const element = shown('```python\ndef f():\n    return "x"\n```');
    expect(element.querySelector(".hljs-keyword")?.textContent).toBe("def");
    expect(element.querySelector("code")?.textContent).toBe('def f():\n    return "x"\n');
    expect(element.querySelectorAll("button[data-code]")).toHaveLength(2);
  });

  test("keeps the elements of unchanged blocks while it grows", () => {
    const element = document.createElement("div");
    showBlocks(element, renderBlocks("First.\n\nSec", []));
    const first = element.children[0];
    showBlocks(element, renderBlocks("First.\n\nSecond, and\n\n- a\n- b", []));
    expect(element.children[0]).toBe(first);
    expect(element.children).toHaveLength(3);
    expect(element.textContent).toContain("Second, and");
    showBlocks(element, renderBlocks("First.", []));
    expect(element.children).toHaveLength(1);
  });

  test("shows a code block that is not closed yet", () => {
    expect(shown("```js\nlet a = 1;\nlet b").querySelector("code")?.textContent).toContain("let b");
  });
});

test("a question keeps the line breaks it was typed with", () => {
  const element = document.createElement("div");
  showBlocks(element, renderBlocks("one\ntwo", [], true));
  expect(element.querySelector("br")).not.toBeNull();
});
