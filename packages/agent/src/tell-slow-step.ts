/** So long a step of an agent's start is not worth a line. */
const quietMs = 5_000;

export type StepLog = { readonly warn: (fields: Record<string, unknown>, message: string) => void };

/**
 * Runs a step of the agent's start, and returns or throws as it does. One that takes long is told while it goes on, after 5, 10, 20, 40 … seconds: whoever waits for an agent that does not serve
 * yet, because a tool or QEMU does not answer it, sees what it waits for.
 */
export async function tellSlowStep<T>(log: StepLog, step: string, run: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const tellAt = (atMs: number, inMs: number): void => {
    timer = setTimeout(() => {
      log.warn({ step, ms: Math.round(performance.now() - startedAt) }, 'the agent does not serve yet: it waits');
      tellAt(2 * atMs, atMs);
    }, inMs);
  };
  tellAt(quietMs, quietMs);
  try {
    return await run();
  } finally {
    clearTimeout(timer);
  }
}
