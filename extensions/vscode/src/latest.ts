/** Numbered requests: of several that are under way for one place, only the latest counts. */
export class Latest {
  private current = 0;

  /** Begins a request, which ends the say of all before it; tells whether it is still the latest. */
  begin(): () => boolean {
    this.current += 1;
    const mine = this.current;
    return () => mine === this.current;
  }
}

/**
 * Applies values one after the other, as the order of their effects must be that of the choices; of
 * those that wait meanwhile only the last one is applied.
 */
export class LatestChoice<T> {
  /** What was chosen last, while it is not in effect yet. */
  wanted: T | undefined;
  private readonly latest = new Latest();
  private applying: Promise<void> = Promise.resolve();

  constructor(private readonly apply: (value: T) => Promise<void>) {}

  /** Rejects when this value was applied and failed; one that was overtaken is left out. */
  choose(value: T): Promise<void> {
    const isLatest = this.latest.begin();
    this.wanted = value;
    const applied = this.applying.then(async () => {
      try {
        if (isLatest()) await this.apply(value);
      } finally {
        if (isLatest()) this.wanted = undefined;
      }
    });
    this.applying = applied.catch(() => undefined);
    return applied;
  }

  /** Waits until what was chosen is in effect, or has failed. */
  async settled(): Promise<void> {
    while (this.wanted !== undefined) await this.applying;
  }
}

/** Runs work that is asked for often: who asks while it runs has it run once more after that. */
export class Rerun {
  private running: Promise<void> | undefined;
  private next: Promise<void> | undefined;

  constructor(private readonly work: () => Promise<void>) {}

  /** Resolves when a run that began no earlier than this call has ended. */
  request(): Promise<void> {
    if (this.next) return this.next;
    if (!this.running) return this.run();
    const again = () => {
      this.next = undefined;
      return this.run();
    };
    this.next = this.running.then(again, again);
    return this.next;
  }

  private run(): Promise<void> {
    this.running = this.work().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }
}
