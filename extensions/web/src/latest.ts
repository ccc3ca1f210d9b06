/** Numbers concurrent requests, so that only the result of the latest one is used. */
export class Latest {
  private current = 0;

  /** Begins a request; returns a function that tells whether it is still the latest. */
  begin(): () => boolean {
    this.current += 1;
    const mine = this.current;
    return () => mine === this.current;
  }
}

/**
 * Applies selected values one after another, in the order of selection. Of the values that wait,
 * only the last one is applied.
 */
export class LatestChoice<T> {
  /** The value selected last, until it is applied. */
  pending: T | undefined;
  private readonly latest = new Latest();
  private applying: Promise<void> = Promise.resolve();

  constructor(private readonly apply: (value: T) => Promise<void>) {}

  /** Selects a value. Rejects if applying it failed; a value that was superseded is skipped. */
  choose(value: T): Promise<void> {
    const isLatest = this.latest.begin();
    this.pending = value;
    const applied = this.applying.then(async () => {
      try {
        if (isLatest()) await this.apply(value);
      } finally {
        if (isLatest()) this.pending = undefined;
      }
    });
    this.applying = applied.catch(() => undefined);
    return applied;
  }

  /** Waits until the value selected last is applied, or failed. */
  async settled(): Promise<void> {
    while (this.pending !== undefined) await this.applying;
  }
}

/** Coalesces requests for work: all that arrive during a run share one run after it. */
export class CoalescedTask {
  private running: Promise<void> | undefined;
  private next: Promise<void> | undefined;

  constructor(private readonly work: () => Promise<void>) {}

  /** Resolves at the end of a run that began after this call. */
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
