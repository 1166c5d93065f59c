/** Gives equal plain data equal small numbers, so that worlds can be compared and stored by short keys. */
export class Interner<T extends object> {
  readonly values: T[] = [];
  readonly #byText = new Map<string, number>();
  readonly #byObject = new WeakMap<T, number>();

  idOf(value: T): number {
    const known = this.#byObject.get(value);
    if (known !== undefined) return known;
    const text = JSON.stringify(value);
    let id = this.#byText.get(text);
    if (id === undefined) {
      id = this.values.length;
      this.values.push(value);
      this.#byText.set(text, id);
    }
    this.#byObject.set(value, id);
    return id;
  }

  valueOf(id: number): T {
    const value = this.values[id];
    if (value === undefined) throw new RangeError(`nothing interned as ${id}`);
    return value;
  }
}
