import type { RamProgress } from '../drivers/migration-report.ts';

/** Less memory than this says nothing about how well it compresses: QEMU counts a page when it queues it, and its bytes when they are sent. */
const leastBytes = 2 ** 20;
/** What is left at a stop is of what the last rounds sent; the worst of them counts. */
const lastRounds = 8;
/** However well memory compresses, a stop is never counted on to go so much faster. */
const most = 16;

type Carried = { readonly wire: number; readonly memory: number };

/**
 * How much memory a byte on the wire carries. QEMU counts speed in bytes on the wire and what is left in bytes of memory; for a compressed stream these are different things, and whoever divides
 * one by the other takes a copy for several times slower than it is. Pure; one per copy, told of every look at it.
 *
 * What the first pass sends lies still and compresses as it does; what a stop has to send is what the guest writes. So the two are kept apart.
 */
export class CarriedMemory {
  readonly #compressed: boolean;
  #last = { transferred: 0, memory: 0, round: 1 };
  #firstPass: Carried = { wire: 0, memory: 0 };
  #round: Carried = { wire: 0, memory: 0 };
  readonly #rounds: number[] = [];

  constructor(compressed: boolean) {
    this.#compressed = compressed;
  }

  /** One look; its speed as speed of memory. */
  seen(ram: RamProgress): RamProgress {
    if (!this.#compressed) return ram;
    const { transferred, memory, round } = this.#last;
    const sent = { wire: Math.max(0, ram.transferredBytes - transferred), memory: Math.max(0, ram.memoryBytes - memory) };
    this.#last = { transferred: ram.transferredBytes, memory: ram.memoryBytes, round: ram.dirtySyncCount };
    // What was sent since the last look was of the round that was going on then.
    if (round <= 1) this.#firstPass = plus(this.#firstPass, sent);
    else {
      this.#round = plus(this.#round, sent);
      if (ram.dirtySyncCount > round && this.#round.memory >= leastBytes) {
        this.#rounds.push(ratio(this.#round));
        if (this.#rounds.length > lastRounds) this.#rounds.shift();
        this.#round = { wire: 0, memory: 0 };
      }
    }
    return { ...ram, mbps: ram.mbps * this.perByte };
  }

  /** As far as is known now; 1 for a stream that does not compress. */
  get perByte(): number {
    return this.#written ?? (this.#firstPass.memory < leastBytes ? 1 : ratio(this.#firstPass));
  }

  /** What a stop may count on: that of memory which the guest writes, once some of it has been sent; 1 before. */
  get atStop(): number {
    return this.#written ?? 1;
  }

  get #written(): number | null {
    return this.#rounds.length > 0 ? Math.min(...this.#rounds) : null;
  }
}

const plus = (a: Carried, b: Carried): Carried => ({ wire: a.wire + b.wire, memory: a.memory + b.memory });
const ratio = ({ wire, memory }: Carried): number => Math.min(most, Math.max(1, wire > 0 ? memory / wire : 1));
