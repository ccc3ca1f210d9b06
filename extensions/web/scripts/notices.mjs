// The licences of the packages in a bundle.
import { readFileSync } from "node:fs";
import path from "node:path";

/** Returns the text of the notices for builds with these metafiles. */
export function notices(metafiles) {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const packages = new Set(
    inputs.flatMap((input) => input.match(/.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []),
  );
  // Sorted by name and not by folder, which differs between installations.
  return [...packages]
    .map(notice)
    .sort()
    .join(`\n\n${"-".repeat(80)}\n\n`);
}

function notice(folder) {
  const { name, version, license } = JSON.parse(
    readFileSync(path.join(folder, "package.json"), "utf8"),
  );
  const text = ["LICENSE", "LICENSE.md", "LICENSE.txt", "License.txt", "license", "LICENSE-MIT"]
    .map((file) => path.join(folder, file))
    .flatMap((file) => {
      try {
        return [readFileSync(file, "utf8").trim()];
      } catch {
        return [];
      }
    })[0];
  if (!text) console.warn(`${name} has no licence file; it declares ${license}.`);
  return `${name} ${version} (${license})\n\n${text ?? ""}`;
}
