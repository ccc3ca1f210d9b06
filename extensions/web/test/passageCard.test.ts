import { beforeEach, expect, test } from "vitest";
import type { Source } from "../src/chat/messages";
import { PassageCard } from "../src/view/passageCard";

const SOURCE: Source = {
  number: 2,
  path: "/w/docs/retries.md",
  label: "retries.md",
  location: "9–13",
  heading: "Retry limit",
  text: "A silent ferry is asked <b>seven</b> times.",
  startLine: 9,
  endLine: 13,
  page: null,
  documentId: 1,
  cited: true,
  stale: false,
  suspicious: false,
  unsaved: false,
};

let log: HTMLElement;
let cite: HTMLElement;
let card: PassageCard;

beforeEach(() => {
  log = document.createElement("section");
  log.innerHTML = '<p>It is asked <button class="cite" data-source="2">2</button>.</p>';
  cite = log.querySelector("button") as HTMLElement;
  card = new PassageCard(log, ({ dataset }) => (dataset.source === "2" ? SOURCE : undefined));
  document.body.replaceChildren(log, card.element);
});

const say = (type: string, target: Element = cite) =>
  target.dispatchEvent(new Event(type, { bubbles: true }));

test.each(["pointerover", "focusin"])("a citation shows its passage on %s", (type) => {
  say(type);
  expect(card.element.hidden).toBe(false);
  expect(card.element.textContent).toBe(
    "retries.md 9–13Retry limitA silent ferry is asked <b>seven</b> times.",
  );
  expect(cite.getAttribute("aria-describedby")).toBe(card.element.id);
});

test("the card stays while the pointer is on it, and closes when it leaves", async () => {
  say("pointerover");
  say("pointerover", log);
  say("pointerenter", card.element);
  expect(card.isOpen).toBe(true);
  say("pointerleave", card.element);
  await expect.poll(() => card.isOpen).toBe(false);
  expect(cite.hasAttribute("aria-describedby")).toBe(false);
});
