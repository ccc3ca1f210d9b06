import { beforeEach, describe, expect, test } from "vitest";
import type { Turn, ViewState } from "../src/chat/messages";
import { INITIAL } from "../src/chat/state";
import { Composer, type Draft } from "../src/view/composer";

const QUESTION: Turn = {
  id: "m1",
  role: "user",
  text: "Why?",
  model: null,
  passagesOnly: false,
  caution: null,
  sources: [],
};
const SHOWN: ViewState = {
  ...INITIAL,
  connection: { state: "ready" },
  conversation: "a",
  turns: [QUESTION],
};

describe("an edited question", () => {
  let asked: unknown[][];
  let saved: Draft;

  const composerWith = (draft: Draft) =>
    new Composer(
      {
        post: () => {},
        ask: (...args) => asked.push(args),
        lastQuestion: () => QUESTION,
        saveDraft: (draft) => {
          saved = draft;
        },
      },
      draft,
    );
  const isEditing = (composer: Composer) => composer.element.querySelector(".editing") !== null;

  beforeEach(() => {
    asked = [];
    saved = { draft: "", useRag: true };
  });

  const edited = () => {
    const composer = composerWith(saved);
    composer.update(SHOWN);
    composer.edit(QUESTION);
    composer.update(SHOWN);
    return composer;
  };

  test("replaces the earlier one", () => {
    const composer = edited();
    expect(isEditing(composer)).toBe(true);
    composer.element.dispatchEvent(new Event("submit"));
    expect(asked).toEqual([["Why?", "m1"]]);
  });

  test("becomes a new question in another conversation, even while that is loading", () => {
    const composer = edited();
    composer.update({ ...SHOWN, conversation: "b", opening: {}, turns: [] });
    expect(isEditing(composer)).toBe(false);
    composer.element.dispatchEvent(new Event("submit"));
    expect(asked).toEqual([["Why?", undefined]]);
  });

  test("is still being edited after the window is reloaded", () => {
    edited();
    const composer = composerWith(saved);
    composer.update({ ...INITIAL, connection: { state: "starting" } });
    composer.update({ ...SHOWN, opening: {}, turns: [] });
    expect(isEditing(composer)).toBe(true);
    composer.update(SHOWN);
    expect(isEditing(composer)).toBe(true);
  });

  test("becomes a new question when its message was deleted", () => {
    const composer = edited();
    composer.update({ ...SHOWN, turns: [] });
    expect(isEditing(composer)).toBe(false);
  });
});

test("a deep answer is asked for only from documents, and the choice is kept", () => {
  let saved: Draft = { draft: "", useRag: true };
  const actions = {
    post: () => {},
    ask: () => {},
    lastQuestion: () => null,
    saveDraft: (draft: Draft) => {
      saved = draft;
    },
  };
  const composer = new Composer(actions, saved);
  const [documents, deep] = composer.element.querySelectorAll<HTMLElement>("[role=switch]");
  expect(composer.deep).toBe(false);
  deep?.click();
  expect([composer.deep, saved.deep]).toEqual([true, true]);
  documents?.click();
  expect([composer.deep, deep?.hidden]).toEqual([false, true]);
  expect(new Composer(actions, { ...saved, useRag: true }).deep).toBe(true);
});
