import type { ReleaseNotice } from '../drivers/host-driver.ts';
import { faultPoint } from '../fault-point.ts';
import { delay } from './deadline.ts';
import type { MigrationRecord } from './migration-record.ts';
import type { PeerLink } from './peer-link.ts';

const answerMs = 3_000;
const retryMs = [50, 100, 200, 500, 1_000, 2_000] as const;

/** The source's release on its way to the destination: repeated until that has answered, or the move is closed. */
export class ReleaseSender {
  readonly #link: PeerLink;
  readonly #record: MigrationRecord;
  #sending = false;
  #closed = false;
  readonly #answered = Promise.withResolvers<void>();

  constructor(link: PeerLink, record: MigrationRecord) {
    this.#link = link;
    this.#record = record;
  }

  /** Whether an answer is still waited for. */
  get sending(): boolean {
    return this.#sending;
  }

  /** Resolves when the destination has answered, whatever. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  /** The first attempt is on the wire when this returns. Never throws; `done` is called after the answer. */
  send(notice: () => ReleaseNotice, done: () => void): void {
    if (this.#sending) return;
    this.#sending = true;
    void this.#repeat(notice).finally(() => {
      this.#sending = false;
      done();
    });
  }

  close(): void {
    this.#closed = true;
  }

  async #repeat(notice: () => ReleaseNotice): Promise<void> {
    const record = this.#record;
    for (let turn = 0; !this.#closed; turn += 1) {
      try {
        const answered = this.#link.release(notice(), answerMs);
        if (turn === 0) await faultPoint('source.release-sent');
        const { answer, detail } = await answered;
        this.#answered.resolve();
        record.note({ taken: answer });
        record.mark('release answered', detail === '' ? answer : `${answer}: ${detail}`);
        record.tell();
        if (answer !== 'unknown') return;
      } catch (error) {
        if (turn === 0) record.mark('release not heard', (error as Error).message);
      }
      await delay(retryMs[Math.min(turn, retryMs.length - 1)] ?? 2_000);
    }
  }
}
