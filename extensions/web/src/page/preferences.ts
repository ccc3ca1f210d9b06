/** What this browser remembers: no documents and no answers, only choices and the typed draft. */
import type { Draft } from "../view/composer";

export type Theme = "system" | "light" | "dark";

interface Stored {
  theme: Theme;
  /** The model that answers here, for users who may not choose it for everybody. */
  model: string | null;
  /** The most passages of an answer or a search; null is the server's setting. */
  topK: number | null;
  draft: Partial<Draft>;
}

const KEY = "allma";
const DEFAULTS: Stored = { theme: "system", model: null, topK: null, draft: {} };

class Preferences {
  private stored: Stored = { ...DEFAULTS, ...read() };

  get theme(): Theme {
    return this.stored.theme;
  }
  get model(): string | null {
    return this.stored.model;
  }
  get topK(): number | null {
    return this.stored.topK;
  }
  get draft(): Partial<Draft> {
    return this.stored.draft;
  }

  set(changes: Partial<Stored>): void {
    this.stored = { ...this.stored, ...changes };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.stored));
    } catch {} // the browser keeps nothing; the choice holds until the page is closed
  }

  /** Forgets the draft, which may be private. */
  signedOut(): void {
    this.set({ draft: {} });
  }
}

function read(): Partial<Stored> {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof stored === "object" && stored !== null ? stored : {};
  } catch {
    return {};
  }
}

export const preferences = new Preferences();

export function applyTheme(): void {
  document.documentElement.dataset.theme = preferences.theme;
}
