import fc from 'fast-check';

/** Bodies near a JSON schema: values that fit it (ids among `ids`), and such in which something was replaced, added or left out. For tests that no body makes a 500. */
export function bodiesNear(schema: object, ids: readonly string[] = []): fc.Arbitrary<unknown> {
  const fitting = fittingValue(schema as Schema, [...ids, ...ids, ...ids, ...texts]);
  return fc.oneof(
    { weight: 3, arbitrary: fitting },
    {
      weight: 4,
      arbitrary: fc
        .tuple(fitting, fc.nat(), junk, fc.constantFrom('replace', 'add', 'drop'))
        .map(([value, at, odd, how]) => broken(value, at, odd, how)),
    },
    { weight: 1, arbitrary: junk },
  );
}

/** Bodies that fit a JSON schema, in whatever way; ids among `ids`. */
export const bodiesOf = (schema: object, ids: readonly string[] = []): fc.Arbitrary<unknown> =>
  fittingValue(schema as Schema, [...ids, ...texts]);

type Schema = {
  readonly type?: string;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
};

const texts = [
  'a',
  'vm-1',
  'node1',
  'x y',
  '7',
  '0',
  'True',
  'auto',
  '192.0.2.9',
  '2001:db8::5',
  '',
  '-1',
  '00000000-0000-4000-8000-000000000000',
  'f1',
  '/etc/passwd',
  "'; drop table server; --",
  '__proto__',
  'ä漢😀',
  'c3NoLXJzYQ==',
  'a:b',
  'a'.repeat(255),
  'a'.repeat(256),
  '\u0000',
  '\ud800',
  'http://x/y/z',
  'nova:node1',
  '%s%n',
  '2030-01-01T00:00:00Z',
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQAB x',
];
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(...texts),
  fc.constantFrom(null, true, false, 0, -1, 1.5, 1e308, 2 ** 31, 2 ** 53, -(2 ** 63)),
  fc.constantFrom([], {}, [[]], [null], { a: {} }, [1, 'a', null]),
  fc.jsonValue({ maxDepth: 3 }),
);

function fittingValue(schema: Schema, words: readonly string[]): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((one) => fittingValue(one, words)));
  switch (schema.type) {
    case 'object': {
      const named = fc.record(
        Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, value]) => [key, fittingValue(value, words)])),
        { requiredKeys: [...(schema.required ?? [])] as never[] },
      );
      const [pattern] = Object.values(schema.patternProperties ?? {});
      return pattern === undefined
        ? named
        : fc.dictionary(fc.constantFrom('a', 'k-1', '__proto__', 'x:y', 'hw:cpu'), fittingValue(pattern, words), {
            maxKeys: 3,
            noNullPrototype: true,
          });
    }
    case 'array':
      return fc.array(fittingValue(schema.items ?? {}, words), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.max(schema.minItems ?? 0, Math.min(schema.maxItems ?? 3, 3)),
      });
    case 'string': {
      const fits = words.filter(
        (text) =>
          (schema.pattern === undefined || new RegExp(schema.pattern).test(text)) &&
          text.length >= (schema.minLength ?? 0) &&
          text.length <= (schema.maxLength ?? 1e9),
      );
      return fits.length === 0 ? fc.constant('x') : fc.constantFrom(...fits);
    }
    case 'integer':
      return fc.integer({
        min: Math.max(schema.minimum ?? -5, -5),
        max: Math.min(schema.maximum ?? 2 ** 31, Math.max(50, (schema.minimum ?? 0) + 50)),
      });
    case 'number':
      return fc.double({ min: 0.1, max: 100, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return junk;
  }
}

/** The value with its `at`-th part replaced, left out or given company. */
function broken(value: unknown, at: number, odd: unknown, how: string): unknown {
  const parts: { readonly holder: object; readonly key: string }[] = [];
  const copy: { root: unknown } = { root: structuredClone(value) };
  const walk = (holder: object, key: string): void => {
    parts.push({ holder, key });
    const inner: unknown = Reflect.get(holder, key);
    if (typeof inner === 'object' && inner !== null) for (const name of Object.keys(inner)) walk(inner, name);
  };
  walk(copy, 'root');
  const part = parts[at % parts.length];
  if (part === undefined) return odd;
  if (how === 'drop') Reflect.deleteProperty(part.holder, part.key);
  else if (how === 'add') Reflect.set(part.holder, `${part.key}x`, odd);
  else Reflect.set(part.holder, part.key, odd);
  return copy.root;
}
