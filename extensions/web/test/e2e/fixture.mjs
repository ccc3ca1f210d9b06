// A small project to index: prose, code, a PDF, and files that are skipped or fail.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FILES = {
  "README.md": `# Harbor

Harbor keeps the timetable of a small ferry company. It reads sailings from a file and answers
which ferry leaves next.

## Getting started

Run \`python -m harbor\` in this folder. The timetable is read from \`timetable.csv\`.
`,
  "docs/retries.md": `# When a ferry does not answer

Harbor asks each ferry for its position by radio.

## Retry limit

A ferry that stays silent is asked seven times, with a pause that doubles each time, beginning at
two seconds. After the seventh failure the ferry is marked as out of reach.

## Storms

In a storm the harbor master suspends all sailings. The suspension ends when two consecutive
weather reports name a wind below eight Beaufort.
`,
  "src/harbor.py": `"""Which ferry leaves next."""

from dataclasses import dataclass

RETRY_LIMIT = 7


@dataclass
class Sailing:
    ferry: str
    minute: int


def next_sailing(sailings: list[Sailing], minute: int) -> Sailing | None:
    """The first sailing at or after a minute of the day."""
    later = [s for s in sailings if s.minute >= minute]
    return min(later, key=lambda s: s.minute, default=None)
`,
  "timetable.csv": "ferry,minute\nAurora,480\nBorealis,540\nCirrus,615\n",
  "empty.txt": "",
  "broken.pdf": "%PDF-1.7\nthis is no document\n",
};

/** Writes the project; returns its folder. */
export function writeProject(folder) {
  for (const [name, text] of Object.entries(FILES)) write(join(folder, name), text);
  write(
    join(folder, "manual.pdf"),
    pdf([
      "Harbor manual. The first page greets the reader.",
      "The lighthouse keeper is called Edda Holm and lives on the north pier.",
    ]),
  );
  return folder;
}

function write(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** A PDF with one line of text on each page. */
function pdf(pages) {
  const kids = pages.map((_, i) => `${4 + i * 2} 0 R`).join(" ");
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ...pages.flatMap((text, i) => {
      const stream = `BT /F1 12 Tf 50 700 Td (${text}) Tj ET`;
      return [
        `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + i * 2} 0 R >>`,
        `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
      ];
    }),
  ];
  let out = "%PDF-1.4\n";
  const offsets = objects.map((object, i) => {
    const at = out.length;
    out += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const table = out.length;
  const rows = offsets.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}`;
  out += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`;
  return out;
}
