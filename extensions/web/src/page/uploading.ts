/** Uploads files into an indexed folder, one after another. */
import { basename } from "../chat/messages";
import type { IngestReport, Job } from "../protocol";
import { chosen, toast } from "./dialogs";
import { type Server, sentence } from "./http";

/** The largest request that the server reads; it closes the connection of a larger one. */
const LARGEST = 64 * 2 ** 20;

/** Uploads files into `selected`, or a folder that the user chooses; tells the result of each. */
export async function upload(
  server: Server,
  folders: readonly string[],
  selected: string | null,
  files: readonly File[],
): Promise<void> {
  if (!files.length) return;
  const folder = selected ?? (await chosenFolder(folders, files.length));
  if (folder === null) return;
  for (const file of files) {
    if (file.size > LARGEST) {
      toast(`${file.name} is larger than 64 MB. Copy it into the folder instead.`);
      continue;
    }
    try {
      toast(`${file.name}: ${told(await server.upload(folder, file))}`);
    } catch (error) {
      toast(`${file.name}: ${sentence(error)}`);
    }
  }
}

function told(report: IngestReport | Job): string {
  if ("state" in report) return "it is being indexed.";
  const [problem] = [...report.failed, ...report.skipped];
  const reason = problem?.reason.replace(/\.$/, "");
  return reason === undefined ? "indexed." : `stored, but not indexed: ${reason}.`;
}

async function chosenFolder(folders: readonly string[], count: number): Promise<string | null> {
  if (folders.length === 1) return folders[0] ?? null;
  const choices = folders.map((path) => ({ label: basename(path), detail: path, value: path }));
  return chosen(count === 1 ? "Upload the file into" : `Upload ${count} files into`, choices);
}

/** Lets files be dropped on an element. */
export function dropTarget(element: HTMLElement, drop: (files: File[]) => void): void {
  const isFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  element.addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    element.classList.add("dropping");
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget as Node | null)) element.classList.remove("dropping");
  });
  element.addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    element.classList.remove("dropping");
    drop([...(event.dataTransfer?.files ?? [])]);
  });
}
