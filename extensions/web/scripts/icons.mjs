// The icons that the page uses, as a style sheet: a mask of each, in the colour of the text.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
export const ICONS = join(ROOT, "..", "node_modules", "@vscode", "codicons", "src", "icons");

const HEAD = `.codicon {
  display: inline-block;
  width: 1em;
  height: 1em;
  font-size: 16px;
  background: currentColor;
  mask: center / contain no-repeat;
}
@media (forced-colors: active) {
  .codicon {
    forced-color-adjust: none;
    background: CanvasText;
  }
}
@keyframes codicon-spin {
  to {
    rotate: 1turn;
  }
}
`;

/** An esbuild plugin: the module `icons.css` has each icon whose name is a string in the sources. */
export const icons = {
  name: "icons",
  setup(build) {
    build.onResolve({ filter: /^icons\.css$/ }, ({ path }) => ({ path, namespace: "icons" }));
    build.onLoad({ filter: /.*/, namespace: "icons" }, () => ({
      contents: sheet(),
      loader: "css",
    }));
  },
};

function sheet() {
  const rules = [...usedNames()].sort().map((name) => {
    const svg = readFileSync(join(ICONS, `${name}.svg`), "utf8").trim();
    const data = svg.replace(/[<>#%"]/g, (sign) => (sign === '"' ? "'" : encodeURIComponent(sign)));
    return `.codicon-${name} { mask-image: url("data:image/svg+xml,${data}"); }\n`;
  });
  return HEAD + rules.join("");
}

function usedNames() {
  const known = new Set(readdirSync(ICONS).map((name) => name.replace(/\.svg$/, "")));
  const sources = readdirSync(join(ROOT, "src"), { recursive: true }).filter((n) =>
    /\.ts$/.test(n),
  );
  const text = sources.map((name) => readFileSync(join(ROOT, "src", name), "utf8")).join("\n");
  const used = [...text.matchAll(/"([a-z-]+)"/g)].map(([, name]) => name);
  return new Set(used.filter((name) => known.has(name)));
}
