import type { MemoryPerByte } from '@godwit/domain/convergence/sample';
import type { RamProgress } from '../drivers/migration-report.ts';

/** Less memory than this says nothing about how well it compresses: QEMU counts a page when it queues it, and its bytes when they are sent. */
const leastBytes = 2 ** 20;
/** What is left at a stop is of what the last rounds sent; the worst of them counts. */
const lastRounds = 8;
/** Fewer rounds than this say nothing about the next. */
const leastRounds = 3;
/** However well memory compresses, it is never taken for more than this. */
const most = 16;
/** A stop least of all: what it sends nobody has sent yet, and a guest may write anything. */
const mostAtStop = 4;

type Carried = { readonly wire: number; readonly memory: number };

/**
 * How much memory a byte on the wire carries. QEMU counts speed in bytes on the wire and what is left in bytes of memory; for a compressed stream these are different things, and whoever divides
 * one by the other takes a copy for several times slower than it is. Pure; one per copy, told of every look at it.
 *
 * What the first pass sends lies still and compresses as it does; what a stop has to send is what the guest writes. So the two are kept apart: of memory that lies still nothing is concluded for
 * a stop.
 */
export class CarriedMemory {
  readonly #compressed: boolean;
  #last = { transferred: 0, memory: 0, round: 1 };
  #firstPass: Carried = { wire: 0, memory: 0 };
  #round: Carried = { wire: 0, memory: 0 };
  readonly #rounds: number[] = [];
  /** What the last look's speed was multiplied by. */
  #sent = 1;

  constructor(compressed: boolean) {
    this.#compressed = compressed;
  }

  /** One look; its speed as speed of memory. */
  seen(ram: RamProgress): RamProgress {
    if (!this.#compressed) return ram;
    const { transferred, memory, round } = this.#last;
    const memoryBytes = ram.memoryBytes ?? 0;
    const sent = { wire: Math.max(0, ram.transferredBytes - transferred), memory: Math.max(0, memoryBytes - memory) };
    this.#last = { transferred: ram.transferredBytes, memory: memoryBytes, round: ram.dirtySyncCount };
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
    this.#sent = round <= 1 ? this.#still : this.atStop;
    return { ...ram, mbps: ram.mbps * this.#sent };
  }

  /** What the last look's speed stands for, and what may be counted on for what was left at it; null: the stream does not compress. */
  get perByte(): MemoryPerByte | null {
    if (!this.#compressed) return null;
    return { sent: this.#sent, left: this.#last.round <= 1 ? this.#still : this.atStop };
  }

  /** What a stop may count on: the worst of the last rounds, the one that is going on included; 1 until some rounds have been seen. */
  get atStop(): number {
    if (this.#rounds.length < leastRounds) return 1;
    const goingOn = this.#round.memory < leastBytes ? [] : [ratio(this.#round)];
    return Math.min(mostAtStop, ...this.#rounds, ...goingOn);
  }

  /** Of memory that lies still. */
  get #still(): number {
    return this.#firstPass.memory < leastBytes ? 1 : ratio(this.#firstPass);
  }
}

const plus = (a: Carried, b: Carried): Carried => ({ wire: a.wire + b.wire, memory: a.memory + b.memory });
const ratio = ({ wire, memory }: Carried): number => Math.min(most, Math.max(1, wire > 0 ? memory / wire : 1));
