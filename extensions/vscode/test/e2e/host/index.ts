// Runs inside the extension host: mocha over the real editor, language client, server and models.
import { writeFileSync } from "node:fs";
import Mocha from "mocha";
import { suites } from "./tests";

export async function run(): Promise<void> {
  const mocha = new Mocha({ ui: "bdd", timeout: 120_000 });
  mocha.suite.emit("pre-require", globalThis as unknown as Mocha.MochaGlobals, "inline", mocha);
  suites();
  const lines: string[] = [];
  const failures = await new Promise<number>((resolve) => {
    mocha
      .run(resolve)
      .on("pass", (test) => lines.push(`ok ${test.title} (${test.duration} ms)`))
      .on("fail", (test, error) => lines.push(`not ok ${test.title}\n${error.stack ?? error}`));
  });
  writeFileSync(process.env.TEST_RESULT ?? "", JSON.stringify({ lines, failures }));
  if (failures) throw new Error(`${failures} failed`);
}
