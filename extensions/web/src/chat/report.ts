import type { IngestReport } from "../protocol";

/** The report in one sentence, without counts that are zero. */
export function reportText(report: IngestReport): string {
  const counts: [number, string][] = [
    [report.indexed, "indexed"],
    [report.updated, "updated"],
    [report.unchanged, "unchanged"],
    [report.removed, "removed"],
    [report.skipped.length, "skipped"],
    [report.failed.length, "failed"],
  ];
  const message = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const done = message.length
    ? `${message.join(", ")} in ${report.seconds.toFixed(1)} s.`
    : "Nothing to index.";
  return report.notice === null ? done : `${done} ${report.notice}`;
}
