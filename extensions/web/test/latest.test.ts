import { expect, test } from "vitest";
import { CoalescedTask, LatestChoice } from "../src/latest";

/** Work that ends on command. */
class Work {
  begun: string[] = [];
  private ends: ((failure?: Error) => void)[] = [];

  readonly run = (name = "") => {
    this.begun.push(name);
    return new Promise<void>((resolve, reject) => {
      this.ends.push((failure) => (failure ? reject(failure) : resolve()));
    });
  };

  begins = () => new Promise((resolve) => setTimeout(resolve));

  async end(failure?: Error): Promise<void> {
    this.ends.shift()?.(failure);
    await this.begins();
  }
}

test("choices are applied in order, without those that were superseded", async () => {
  const work = new Work();
  const choice = new LatestChoice<string>(work.run);
  const choosing = [choice.choose("a")];
  await work.begins();
  choosing.push(choice.choose("b"), choice.choose("c"));
  expect(choice.pending).toBe("c");
  await work.end();
  expect(work.begun).toEqual(["a", "c"]);
  await work.end();
  await Promise.all(choosing);
  expect(choice.pending).toBeUndefined();
});

test("a choice that fails is dropped, and the next one is applied", async () => {
  const work = new Work();
  const choice = new LatestChoice<string>(work.run);
  const failing = expect(choice.choose("a")).rejects.toThrow("no such model");
  await work.begins();
  await work.end(new Error("no such model"));
  await failing;
  expect(choice.pending).toBeUndefined();
  void choice.choose("b");
  await work.begins();
  expect(work.begun.at(-1)).toBe("b");
});

test("waiting for the choice waits for the last one", async () => {
  const work = new Work();
  const choice = new LatestChoice<string>(work.run);
  let isSettled = false;
  void choice.choose("a");
  await work.begins();
  void choice.settled().then(() => {
    isSettled = true;
  });
  void choice.choose("b");
  await work.end();
  expect(isSettled).toBe(false);
  await work.end();
  expect(isSettled).toBe(true);
});

test("requests during a run share one run that begins after it", async () => {
  const work = new Work();
  const rerun = new CoalescedTask(() => work.run());
  const requests = [rerun.request(), rerun.request(), rerun.request()];
  const failing = Promise.all(
    requests.slice(1).map((request) => expect(request).rejects.toThrow("once")),
  );
  expect(work.begun).toHaveLength(1);
  await work.end();
  await requests[0];
  expect(work.begun).toHaveLength(2);
  await work.end(new Error("once"));
  await failing;
  expect(work.begun).toHaveLength(2);
  void rerun.request();
  expect(work.begun).toHaveLength(3);
});
