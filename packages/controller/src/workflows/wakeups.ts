/** Who waits for news of which subject in this process. A wake that comes while a known waiter does not wait is kept for its next wait. */
export type Wakeups = {
  /** From now on until `forget`, wakes of `subject` are kept for `waiter`. */
  readonly know: (subject: string, waiter: string) => void;
  /** Resolves at the next wake of `subject`, or when `stop` aborts. */
  readonly wait: (subject: string, waiter: string, stop: AbortSignal) => Promise<void>;
  readonly wake: (subject: string) => void;
  readonly forget: (subject: string, waiter: string) => void;
};

export function createWakeups(): Wakeups {
  type Waiter = { pending: boolean; resolve: (() => void) | null };
  const bySubject = new Map<string, Map<string, Waiter>>();
  const known = (subject: string, waiter: string): Waiter => {
    let waiters = bySubject.get(subject);
    if (waiters === undefined) bySubject.set(subject, (waiters = new Map()));
    let one = waiters.get(waiter);
    if (one === undefined) waiters.set(waiter, (one = { pending: false, resolve: null }));
    return one;
  };
  return {
    know: known,
    wait: (subject, waiter, stop) => {
      const entry = known(subject, waiter);
      if (entry.pending || stop.aborted) {
        entry.pending = false;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        const done = () => {
          stop.removeEventListener('abort', done);
          entry.resolve = null;
          entry.pending = false;
          resolve();
        };
        entry.resolve = done;
        stop.addEventListener('abort', done, { once: true });
      });
    },
    wake: (subject) => {
      for (const waiter of bySubject.get(subject)?.values() ?? []) {
        waiter.pending = true;
        waiter.resolve?.();
      }
    },
    forget: (subject, waiter) => {
      const waiters = bySubject.get(subject);
      waiters?.delete(waiter);
      if (waiters?.size === 0) bySubject.delete(subject);
    },
  };
}
