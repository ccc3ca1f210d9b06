import { expect, test } from "vitest";
import { excerptOf } from "../src/chat/excerpt";
import { marked } from "../src/page/highlighting";

test("an excerpt begins shortly before the first word of the query", () => {
  const text = `${"Nothing here. ".repeat(40)}The retry limit is seven.${" Nothing more.".repeat(40)}`;
  expect(excerptOf(text, "Retry limit?", 100)).toMatch(/^….*The retry limit is seven\..*…$/);
  expect(excerptOf("short", "nothing", 100)).toBe("short");
  expect(excerptOf("short", "???", 100)).toBe("short");
});

test("an excerpt shows where most words of the query are together", () => {
  const text = `The limit is told below. ${"Nothing here. ".repeat(40)}Retry limit: seven.`;
  expect(excerptOf(text, "retry limit", 100)).toMatch(/Retry limit: seven\.$/);
  const code = `${"x = 1; ".repeat(40)}limit = 7; y = 2; z = 3; retry(limit) ${"x = 1; ".repeat(40)}`;
  expect(excerptOf(code, "retry limit", 100, 10)).toMatch(/^….{10}retry\(limit\)/);
});

test("the words of a query are marked, and markup is shown as text", () => {
  const parts = marked("The <b>retry</b> limit", "RETRY limit");
  const box = document.createElement("p");
  box.append(...parts);
  expect([...box.querySelectorAll("mark")].map((e) => e.textContent)).toEqual(["retry", "limit"]);
  expect(box.textContent).toBe("The <b>retry</b> limit");
});
