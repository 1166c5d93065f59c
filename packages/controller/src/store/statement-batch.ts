import { createRequire } from 'node:module';
import type pg from 'pg';

/** Not in the driver's types: what a parameter becomes on the wire. */
const { prepareValue } = createRequire(import.meta.url)('pg/lib/utils') as { readonly prepareValue: (value: unknown) => unknown };

/** A parameter as it goes over the wire. Throws when it cannot. */
export const wireValues = (values: readonly unknown[]): readonly unknown[] => values.map(prepareValue);

/** Named: prepared once a connection, and what its rows look like is asked once. `values` are those of `wireValues`. */
export type Statement = { readonly text: string; readonly values: readonly unknown[]; readonly name: string | null };

/** What the last statement of a batch gave. */
export type Answer = { readonly command: string; readonly rowCount: number | null; readonly rows: readonly Record<string, unknown>[] };

type Field = { readonly name: string; readonly parse: (text: string) => unknown };
/** Null: it gives no rows. */
type Shape = readonly Field[] | null;

/** What is known of the prepared statements of each connection. */
const shapesOf = new WeakMap<pg.PoolClient, Map<string, Shape>>();

/**
 * Sends statements in one go, to be carried out in order as if one by one, and answered in one go: one `Sync` for all of them, so that the server writes once and wakes us once. Of a prepared
 * statement it is not asked again what its rows look like: when that changes, PostgreSQL refuses the statement. Resolves to the last one's answer. Rejects with the first failure: what came behind
 * one that the server refused was not carried out; a row that we cannot read (only the last gives any) undoes nothing.
 */
export function sendBatch(client: pg.PoolClient, statements: readonly Statement[]): Promise<Answer> {
  let shapes = shapesOf.get(client);
  if (shapes === undefined) shapesOf.set(client, (shapes = new Map()));
  return new Promise<Answer>((resolve, reject) => {
    client.query(new StatementBatch(client, statements, shapes, resolve, reject));
  });
}

/** The driver's side of a connection, as far as a query of one's own needs it. */
type Wire = {
  readonly stream: { readonly cork?: () => void; readonly uncork?: () => void };
  /** Kept by the driver, by the name and text of the query that the server says it has parsed. */
  readonly parsedStatements: Readonly<Record<string, string>>;
  readonly parse: (statement: { readonly text: string; readonly name: string }) => void;
  readonly bind: (portal: { readonly statement: string; readonly values: readonly unknown[] }) => void;
  readonly describe: (what: { readonly type: 'P'; readonly name: '' }) => void;
  readonly execute: (portal: { readonly portal: '' }) => void;
  readonly sync: () => void;
};

/** A query of its own kind for `pg`, which calls what stands below as the server's messages come. */
class StatementBatch implements pg.Submittable {
  readonly #client: pg.PoolClient;
  readonly #statements: readonly Statement[];
  readonly #shapes: Map<string, Shape>;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  /** The one whose messages come now. */
  #at = 0;
  #shape: Shape | undefined;
  #rows: Record<string, unknown>[] = [];
  #answer: Answer = { command: '', rowCount: null, rows: [] };
  #failed = false;

  constructor(
    client: pg.PoolClient,
    statements: readonly Statement[],
    shapes: Map<string, Shape>,
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#client = client;
    this.#statements = statements;
    this.#shapes = shapes;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** By these two the driver notes what the server has parsed. */
  get name(): string {
    return this.#statements[this.#at]?.name ?? '';
  }
  get text(): string {
    return this.#statements[this.#at]?.text ?? '';
  }

  submit(connection: pg.Connection): void {
    const wire = connection as unknown as Wire;
    const parsed = new Set<string>();
    wire.stream.cork?.();
    try {
      for (const { text, values, name } of this.#statements) {
        if (name === null || (wire.parsedStatements[name] === undefined && !parsed.has(name))) wire.parse({ text, name: name ?? '' });
        if (name !== null) parsed.add(name);
        wire.bind({ statement: name ?? '', values });
        if (name === null || !this.#shapes.has(name)) wire.describe({ type: 'P', name: '' });
        wire.execute({ portal: '' });
      }
      wire.sync();
    } finally {
      wire.stream.uncork?.();
    }
  }

  handleRowDescription({ fields }: { readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[] }): void {
    this.#shape = fields.map(({ name, dataTypeID }) => ({ name, parse: this.#client.getTypeParser(dataTypeID, 'text') }));
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    if (this.#failed) return;
    const { name } = this;
    this.#shape ??= this.#shapes.get(name);
    const row: Record<string, unknown> = {};
    try {
      const shape = this.#shape ?? [];
      for (let index = 0; index < shape.length; index++) {
        const field = shape[index] as Field;
        const text = fields[index] ?? null;
        row[field.name] = text === null ? null : field.parse(text);
      }
    } catch (error) {
      this.handleError(error);
      return;
    }
    this.#rows.push(row);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const { name } = this;
    if (name !== '' && !this.#shapes.has(name)) this.#shapes.set(name, this.#shape ?? null);
    const words = text.split(' ');
    const count = Number(words.at(-1));
    this.#answer = { command: words[0] ?? '', rowCount: words.length > 1 && Number.isInteger(count) ? count : null, rows: this.#rows };
    this.#next();
  }

  handleEmptyQuery(): void {
    this.#next();
  }

  #next(): void {
    this.#at += 1;
    this.#shape = undefined;
    this.#rows = [];
  }

  handleReadyForQuery(): void {
    if (!this.#failed) this.#resolve(this.#answer);
  }

  handleError(error: unknown): void {
    this.#failed = true;
    this.#reject(error);
  }

  handlePortalSuspended(): void {
    this.handleError(new Error('a portal was suspended that has no limit'));
  }

  handleCopyInResponse(connection: pg.Connection): void {
    (connection as unknown as { readonly sendCopyFail: (why: string) => void }).sendCopyFail('nothing is copied in here');
  }

  handleCopyData(): void {}
}
