import { beforeEach, describe, expect, test } from "vitest";
import type { ToView } from "../../src/chat/messages";
import { type Backend, Session } from "../../src/chat/session";
import type { Answer, AskParams, AskProgress, Conversation, Message } from "../../src/protocol";
import { INITIAL, reduce } from "../../src/webview/state";

const CANCELLED = new Error("cancelled");
const AWAY = new Error("the server is away");

/** A server of one test: it keeps conversations, and answers when it is told to. */
class Server implements Backend {
  asked: AskParams[] = [];
  conversations = new Map<string, Conversation>();
  away = false;
  private finish: ((text: string) => void) | undefined;
  private fail: ((error: unknown) => void) | undefined;
  private begin = () => {};
  private told = "";
  private tell: ((progress: AskProgress) => void) | undefined;

  ask(params: AskParams, onProgress: (p: AskProgress) => void, signal: AbortSignal) {
    this.asked.push(params);
    this.tell = onProgress;
    this.told = "";
    const id = params.conversationId ?? `c${this.conversations.size + 1}`;
    const messageId = `m${this.asked.length}`;
    if (params.replaces === undefined) this.write(id, "user", params.question, messageId);
    // The place is taken when the new answer begins.
    this.begin = () => {
      if (params.replaces === undefined) return;
      this.cut(id, params.replaces);
      this.write(id, "user", params.question, messageId);
      this.begin = () => undefined;
    };
    onProgress({ kind: "started", conversationId: id, messageId });
    return new Promise<Answer>((resolve, reject) => {
      this.fail = reject;
      this.finish = (text) => {
        this.begin();
        this.write(id, "assistant", text);
        resolve({ text, conversationId: id, stats: {}, notice: null } as unknown as Answer);
      };
      signal.addEventListener("abort", () => {
        if (this.told) this.write(id, "assistant", `${this.told} …`);
        reject(CANCELLED);
      });
    });
  }

  show(id: string): Promise<Conversation> {
    if (this.away) return Promise.reject(AWAY);
    const found = this.conversations.get(id);
    return found ? Promise.resolve(structuredClone(found)) : Promise.reject(new Error("not found"));
  }

  failure(error: unknown) {
    if (error === CANCELLED) return "cancelled" as const;
    if (error === AWAY) return { code: "error", message: AWAY.message, hint: null };
    return { code: "conversation_not_found", message: String(error), hint: "Next step." };
  }

  stream(text: string): void {
    this.begin();
    this.told += text;
    this.tell?.({ kind: "chunk", seq: 0, text });
  }

  async answer(text: string): Promise<void> {
    this.finish?.(text);
    await settled();
  }

  async breakOff(message: string): Promise<void> {
    this.fail?.(message);
    await settled();
  }

  private cut(id: string, message: string): void {
    const messages = this.conversations.get(id)?.messages ?? [];
    messages.splice(messages.findIndex((m) => m.id === message));
  }

  private write(id: string, role: Message["role"], content: string, as?: string): void {
    const known = this.conversations.get(id);
    const messages = known?.messages ?? [];
    messages.push({
      id: as ?? `${id}.${messages.length}`,
      role,
      content,
      model: "m",
      createdAt: "",
      sources: [],
      grounding: null,
    });
    this.conversations.set(id, {
      id,
      title: known?.title ?? content,
      createdAt: "",
      updatedAt: "",
      messageCount: messages.length,
      messages,
    });
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe("a session", () => {
  let server: Server;
  let session: Session;
  let view: typeof INITIAL;
  let changes: string[];

  beforeEach(() => {
    server = new Server();
    view = INITIAL;
    changes = [];
    session = new Session(
      server,
      (message: ToView) => {
        view = reduce(view, structuredClone(message));
      },
      (kind) => changes.push(kind),
    );
  });

  const texts = () => view.turns.map((turn) => turn.text);

  test("streams an answer and ends with what the server has", async () => {
    void session.ask("Why?", true);
    expect(view.pending).toMatchObject({ question: "Why?", state: "waiting" });
    server.stream("Be");
    server.stream("cause");
    expect(view.pending).toMatchObject({ answer: "Because", state: "streaming" });
    await server.answer("Because.");
    expect(view.pending).toBeNull();
    expect(texts()).toEqual(["Why?", "Because."]);
    expect(session.id).toBe("c1");
    expect(changes).toEqual(["selected", "written"]);
  });

  test("continues its conversation with the next question", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("And?", false);
    await server.answer("So.");
    expect(server.asked[1]).toMatchObject({ conversationId: "c1", useRag: false });
    expect(texts()).toEqual(["Why?", "Because.", "And?", "So."]);
  });

  test("takes no second question while it answers", async () => {
    void session.ask("Why?", true);
    await session.ask("And?", true);
    expect(server.asked).toHaveLength(1);
  });

  test("keeps what a stopped first answer had", async () => {
    void session.ask("Why?", true);
    server.stream("half");
    session.stop();
    await settled();
    expect(view.pending).toBeNull();
    expect(texts()).toEqual(["Why?", "half …"]);
    expect(session.id).toBe("c1");
  });

  test("shows a failure with the question, once", async () => {
    void session.ask("Why?", true);
    await server.breakOff("The model is gone.");
    expect(view.pending).toMatchObject({
      question: "Why?",
      state: "failed",
      failure: { message: "The model is gone.", hint: "Next step." },
    });
    expect(texts()).toEqual([]);
    void session.ask("Why?", true);
    expect(view.pending?.state).toBe("waiting");
  });

  test("answers again in the place of an answer", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("Why?", true, "m1");
    expect(texts()).toEqual([]);
    await server.answer("Therefore.");
    expect(server.asked[1]).toMatchObject({ conversationId: "c1", replaces: "m1" });
    expect(texts()).toEqual(["Why?", "Therefore."]);
  });

  test("shows what was there again when its replacement is stopped before it began", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("Why not?", true, "m1");
    expect(texts()).toEqual([]);
    session.stop();
    await settled();
    expect(texts()).toEqual(["Why?", "Because."]);
  });

  test("tries a question that failed again in its own place", async () => {
    void session.ask("Why?", true);
    server.stream("half");
    await server.breakOff("The model is gone.");
    expect(view.pending).toMatchObject({ answer: "half", state: "failed", replaces: "m1" });
    expect(texts()).toEqual([]);
  });

  test("tries a replacement that failed again in the place of the same", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("Why?", true, "m1");
    await server.breakOff("Ollama is gone.");
    expect(view.pending).toMatchObject({ state: "failed", replaces: "m1" });
  });

  test("lets go of an answer when another conversation is opened", async () => {
    void session.ask("Why?", true);
    await session.select(undefined);
    server.stream("late");
    await settled();
    expect(view.pending).toBeNull();
    expect(texts()).toEqual([]);
    expect(session.busy).toBe(false);
  });

  test("gives a new view everything, the half answer too", () => {
    void session.ask("Why?", true);
    server.stream("half");
    expect(session.snapshot().pending).toMatchObject({ question: "Why?", answer: "half" });
  });

  test("asks about its attachments: one place, any number of selections", () => {
    session.attach({ kind: "scope", path: "/w/a", label: "a" });
    session.attach({ kind: "scope", path: "/w/b", label: "b" });
    session.attach({
      kind: "selection",
      path: "/w/x.py",
      label: "x.py, line 1",
      startLine: 1,
      endLine: 1,
      language: "python",
      text: "x = 1",
    });
    void session.ask("What?", true);
    expect(server.asked[0]?.workspace).toBe("/w/b");
    expect(server.asked[0]?.question).toContain("x = 1");
    expect(view.attachments.map((a) => a.label)).toEqual(["b"]);
  });

  test("shows what an earlier window showed, also if the server is away at first", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    const id = session.id as string;
    await session.select(undefined);
    server.away = true;
    await session.restore(id);
    expect(session.id).toBe(id);
    server.away = false;
    await session.reload();
    expect(texts()).toEqual(["Why?", "Because."]);
  });

  test("begins empty where what an earlier window showed was deleted", async () => {
    await session.restore("gone");
    expect(session.id).toBeUndefined();
    expect(texts()).toEqual([]);
  });

  test("forgets a conversation that was deleted elsewhere", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    server.conversations.clear();
    await session.reload();
    expect(session.id).toBeUndefined();
    expect(texts()).toEqual([]);
  });
});
