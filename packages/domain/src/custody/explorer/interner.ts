/** A value that stands for all values equal to it: compared by `id`. */
export type Interned<T> = { readonly id: number; readonly value: T };

/** Gives equal plain data one object and a small number, so that worlds can be compared, stored and remembered by numbers. */
export class Interner<T extends object> {
  readonly all: Interned<T>[] = [];
  readonly #byText = new Map<string, Interned<T>>();

  of(value: T): Interned<T> {
    const text = JSON.stringify(value);
    let found = this.#byText.get(text);
    if (found === undefined) {
      found = { id: this.all.length, value };
      this.all.push(found);
      this.#byText.set(text, found);
    }
    return found;
  }

  idOf(value: T): number {
    return this.of(value).id;
  }

  valueOf(id: number): T {
    const found = this.all[id];
    if (found === undefined) throw new RangeError(`nothing interned as ${id}`);
    return found.value;
  }
}
