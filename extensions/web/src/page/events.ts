/** The events of a streamed operation. */
import type { AnswerStatus, AskProgress, Failure } from "../protocol";

export type StreamEvent =
  | Exclude<AskProgress, AnswerStatus>
  | { kind: "status"; done: number; total: number | null; message: string }
  | { kind: "done"; result: unknown }
  | ({ kind: "error"; status?: number } & Failure);

/** Reads server-sent events; each has its JSON in one line. Comments keep the connection open. */
export async function* streamEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<StreamEvent> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data !== undefined) yield JSON.parse(data) as StreamEvent;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
