// Tests the page in a real browser with a real server: `node test/e2e/run.mjs`.
import { PageTests } from "./page.mjs";
import { Site } from "./site.mjs";

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
const site = await Site.open();
let failed = 0;
try {
  const tests = new PageTests(site);
  for (const [title, test] of tests.all()) {
    const began = Date.now();
    try {
      await test();
      console.log(`ok ${title} (${Date.now() - began} ms)`);
    } catch (error) {
      failed += 1;
      if (tests.page) await site.screenshot(tests.page, "failed");
      console.log(`not ok ${title}\n${error.stack}`);
      if (!tests.page) break; // nobody is signed in
    }
  }
} finally {
  await site.close();
}
process.exit(failed ? 1 : 0);
