/**
 * Remembers worlds by 64 bits of each. Two worlds may share them: of 30 million worlds some pair does with a probability of 1 in 40,000, and then one of the two is not looked at.
 * What is gained is room: a world costs some 24 bytes instead of several hundred.
 */
export class WorldTable {
  #size = 0;
  #slots = 1 << 16;
  #high = new Uint32Array(this.#slots);
  #low = new Uint32Array(this.#slots);
  #ids = new Int32Array(this.#slots).fill(-1);

  get size(): number {
    return this.#size;
  }

  /** The number that was given to the world with this key, or -1. `key`: small integers. */
  find(key: readonly number[]): number {
    const [high, low] = hashed(key);
    return this.#ids[this.#slot(high, low)] ?? -1;
  }

  add(key: readonly number[], id: number): void {
    const [high, low] = hashed(key);
    this.#put(high, low, id);
    this.#size += 1;
    if (this.#size * 2 > this.#slots) this.#grow();
  }

  #put(high: number, low: number, id: number): void {
    const slot = this.#slot(high, low);
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#ids[slot] = id;
  }

  #slot(high: number, low: number): number {
    const mask = this.#slots - 1;
    let slot = (low ^ (high << 7)) & mask;
    while (this.#ids[slot] !== -1 && (this.#high[slot] !== high || this.#low[slot] !== low)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [high, low, ids] = [this.#high, this.#low, this.#ids];
    this.#slots *= 2;
    this.#high = new Uint32Array(this.#slots);
    this.#low = new Uint32Array(this.#slots);
    this.#ids = new Int32Array(this.#slots).fill(-1);
    for (let slot = 0; slot < ids.length; slot += 1) {
      const id = ids[slot] ?? -1;
      if (id !== -1) this.#put(high[slot] ?? 0, low[slot] ?? 0, id);
    }
  }
}

/** Two independent 32-bit mixes (the finalizer of MurmurHash3 over each number). */
function hashed(key: readonly number[]): readonly [number, number] {
  let high = 0x9e3779b9;
  let low = 0x85ebca6b;
  for (const number of key) {
    high = Math.imul(high ^ number, 0xcc9e2d51);
    high = Math.imul((high << 15) | (high >>> 17), 0x1b873593) ^ (high >>> 13);
    low = Math.imul(low ^ (number + 0x7f4a7c15), 0x85ebca77);
    low = Math.imul((low << 13) | (low >>> 19), 0xc2b2ae3d) ^ (low >>> 16);
  }
  return [finished(high ^ key.length), finished(low + key.length)];
}

function finished(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
