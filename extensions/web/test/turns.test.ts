import { beforeEach, expect, test } from "vitest";
import type { FromView, Pending, Turn } from "../src/chat/messages";
import { type AnswerDetails, openingElement, PendingElement, turnElement } from "../src/view/turns";

const ANSWER: Turn = {
  id: "m2",
  role: "assistant",
  text: "Because.",
  model: "m",
  passagesOnly: false,
  caution: null,
  sources: [],
};

const PLAIN: AnswerDetails = { stats: null, thinking: "", remarks: [] };
const PENDING: Pending = {
  question: "Why?",
  answer: "",
  thinking: "",
  status: null,
  sources: [],
  state: "waiting",
};

let posted: FromView[];
let askedAgain: unknown[][];
const actions = {
  offers: () => true,
  post: (message: FromView) => posted.push(message),
  edit: () => {},
  askAgain: (...args: unknown[]) => askedAgain.push(args),
};

beforeEach(() => {
  posted = [];
  askedAgain = [];
});

const press = (element: HTMLElement, label: string) => {
  const buttons = [...element.querySelectorAll("button")];
  const button = buttons.find((b) => b.textContent === label);
  expect(button, `a button “${label}”`).toBeDefined();
  button?.click();
};

test("a limit of an answer is shown with the button for the next step", () => {
  const text = "Indexing is in progress (312 of 585 files); results may be incomplete.";
  const step = { label: "Show progress", action: "status" } as const;
  const making = { ...PLAIN, remarks: [{ text, step }] };
  const element = turnElement(ANSWER, null, making, actions);
  expect(element.textContent).toContain(text);
  press(element, "Show progress");
  expect(posted).toEqual([{ type: "action", action: "status" }]);
});

test("an answer that was cut off says so", () => {
  const caution = "This answer is incomplete: it was cut off.";
  const element = turnElement({ ...ANSWER, caution }, null, PLAIN, actions);
  expect(element.textContent).toContain(caution);
});

test.each([
  ["model_not_found", "Choose a model", "models"],
  ["empty_answer", "Choose a model", "models"],
  ["api_key_refused", "Check everything", "doctor"],
  ["provider_unreachable", "Check everything", "doctor"],
])("after %s the question can be retried, and the next step is a button", (code, label, action) => {
  const pending: Pending = {
    ...PENDING,
    state: "failed",
    failure: { code, message: "It failed as it did.", hint: "Do this." },
    replaces: "m1",
  };
  const shown = new PendingElement(actions);
  shown.update(pending);
  expect(shown.element.textContent).toContain("It failed as it did. Do this.");
  press(shown.element, label);
  expect(posted).toEqual([{ type: "action", action }]);
  press(shown.element, "Try again");
  expect(askedAgain).toEqual([["Why?", "m1"]]);
});

test("a conversation that fails to load says why, and can be retried", () => {
  const failure = { code: "took_too_long", message: "It took too long.", hint: null };
  const element = openingElement({ failure }, actions);
  expect(element.textContent).toContain("It took too long.");
  press(element, "Try again");
  expect(posted).toEqual([{ type: "reload" }]);
});

test("a pending answer says what is done, then shows the thinking folded", () => {
  const shown = new PendingElement(actions);
  shown.update({ ...PENDING, status: "Reading 5 passages" });
  expect(shown.element.textContent).toContain("Reading 5 passages");
  const thinking = shown.element.querySelector("details.thinking") as HTMLDetailsElement;
  expect(thinking.hidden).toBe(true);
  shown.update({ ...PENDING, thinking: "I wonder.", answer: "Because.", state: "streaming" });
  expect([thinking.hidden, thinking.open]).toEqual([false, false]);
  expect(thinking.textContent).toContain("I wonder.");
  expect(shown.element.querySelector("article.assistant .body")?.textContent?.trim()).toBe(
    "Because.",
  );
});

test("the thinking before the last answer stays, folded", () => {
  const element = turnElement(ANSWER, null, { ...PLAIN, thinking: "I wonder." }, actions);
  expect(element.querySelector("details.thinking")?.textContent).toContain("I wonder.");
  expect(element.querySelector(".body")?.textContent?.trim()).toBe("Because.");
});
