/** A list of 32-bit numbers that grows without a copy of each number's object. */
export class GrowingNumbers {
  #values = new Int32Array(1 << 12);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const longer = new Int32Array(this.#values.length * 2);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.length] = value;
    this.length += 1;
  }

  at(index: number): number {
    return this.#values[index] ?? -1;
  }

  view(): Int32Array {
    return this.#values.subarray(0, this.length);
  }
}
