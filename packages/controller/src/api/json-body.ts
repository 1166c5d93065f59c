import { GodwitError } from '@godwit/domain/errors';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';

/** The JSON of a request's body. Throws `UnsupportedMediaType` for another type, `BadRequest` for what is not JSON; undefined when there is none. */
export function readJsonBody(raw: unknown, contentType: string | undefined): unknown {
  const bytes = Buffer.isBuffer(raw) ? raw : Buffer.alloc(0);
  if (bytes.length === 0) return undefined;
  const type = contentType?.split(';')[0]?.trim().toLowerCase();
  if (type !== undefined && type !== '' && !jsonTypes.has(type))
    throw new GodwitError('UnsupportedMediaType', `Unsupported Content-Type ${type.slice(0, 60)}`);
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new GodwitError('BadRequest', 'Malformed request body', {}, { cause });
  }
  assertStorable(body, 'request body');
  return body;
}

const jsonTypes: ReadonlySet<string> = new Set(['application/json', 'application/vnd.openstack.compute+json']);
/** Deeper than any body of these APIs; keeps the walks over a body from overflowing the stack. */
const maxDepth = 40;

/** PostgreSQL holds neither NUL characters nor lone surrogates: throws `BadRequest`, naming `where` they are, while it is still the caller's mistake. */
export function assertStorable(value: unknown, where: string, depth = 0): void {
  if (depth > maxDepth) throw new GodwitError('BadRequest', `Malformed ${where}`);
  if (typeof value === 'string') {
    if (value.includes('\0') || !value.isWellFormed())
      throw new GodwitError('BadRequest', `Malformed ${where}: a text holds characters that cannot be stored`);
  } else if (Array.isArray(value)) {
    for (const item of value) assertStorable(item, where, depth + 1);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      assertStorable(key, where, depth + 1);
      assertStorable(item, where, depth + 1);
    }
  }
}

/** No coercion, no defaults, nothing removed: a body is what the schema says or it is refused. */
const ajv = new Ajv({
  strict: false,
  allErrors: false,
  verbose: true,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
  validateFormats: false,
});
const compiled = new WeakMap<object, ValidateFunction>();

/** The first violation of the schema as one sentence, or null. Schemas are compiled once per object: keep them at module level or cached. */
export function violation(schema: object, value: unknown): string | null {
  const errors = errorsOf(schema, value);
  return errors === null ? null : sentence(errors);
}

/** The same of a request's query: keys with their values. */
export function queryViolation(schema: object, query: Readonly<Record<string, readonly string[]>>): string | null {
  const [error] = errorsOf(schema, query) ?? [];
  if (error === undefined) return null;
  const key = error.instancePath.split('/')[1]?.replaceAll('~1', '/').replaceAll('~0', '~');
  return key === undefined
    ? sentence([error])
    : `Invalid input for query parameters ${key}. Value: ${shortJson(error.data)}. ${error.message ?? 'is not valid'}`;
}

function errorsOf(schema: object, value: unknown): readonly ErrorObject[] | null {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = ajv.compile(schema);
    compiled.set(schema, validate);
  }
  return validate(value) ? null : (validate.errors ?? []);
}

/** Throws `SchemaViolation` with the API's sentence unless the body fits. */
export function assertBody(schema: object, body: unknown): void {
  if (body === undefined) throw new GodwitError('SchemaViolation', 'Malformed request body: a JSON object is required');
  const found = violation(schema, body);
  if (found !== null) throw new GodwitError('SchemaViolation', found);
}

function sentence(errors: readonly ErrorObject[]): string {
  const deepest = errors.reduce<ErrorObject | null>(
    (best, error) => (best === null || error.instancePath.length > best.instancePath.length ? error : best),
    null,
  );
  if (deepest === null) return 'Invalid input received';
  const path = deepest.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const value = shortJson(deepest.data);
  switch (deepest.keyword) {
    case 'additionalProperties':
      return `Additional properties are not allowed ('${String(deepest.params['additionalProperty'])}' was unexpected)`;
    case 'required':
      return `'${String(deepest.params['missingProperty'])}' is a required property`;
    default:
      return path.length === 0
        ? `Invalid input received. Value: ${value}. ${deepest.message ?? 'is not valid'}`
        : `Invalid input for field/attribute ${path.join('.')}. Value: ${value}. ${deepest.message ?? 'is not valid'}`;
  }
}

function shortJson(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
