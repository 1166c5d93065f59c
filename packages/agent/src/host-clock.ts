import { setTimeout as delay } from 'node:timers/promises';

type Run = (program: string, args: readonly string[]) => Promise<string>;

/** systemd's service for it may have to start first. */
const withinMs = 3_000;

/**
 * Whether the kernel says that a time service sets this host's clock (adjtimex: not STA_UNSYNC), as timedatectl tells it. Null: that does not answer, and nobody knows. Never throws; ends within
 * seconds.
 */
export async function clockIsSynchronised(run: Run): Promise<boolean | null> {
  const asked = run('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']).then(
    (said) => (said.trim() === 'yes' ? true : said.trim() === 'no' ? false : null),
    () => null,
  );
  return Promise.race([asked, delay(withinMs, null, { ref: false })]);
}
