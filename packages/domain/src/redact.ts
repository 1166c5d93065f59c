/** What stands where a secret stood. */
export const redacted = '[removed]';

/** Names of settings, columns, headers and fields that hold a secret, whatever they belong to. */
const secretName =
  /pass(word|wd|phrase)?$|secret|token|private_?key|api_?key|credential|authorization|cookie|user_?data|^key$|signature|personality|hash$/i;

/** Secrets that tell themselves by their shape, in any text. */
const secretShapes: readonly (readonly [RegExp, string])[] = [
  // PEM, also as one line with \\n in it, and cut off.
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g, redacted],
  // A JSON web token.
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, redacted],
  // Credentials in a URL.
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*):[^\s/@"']+@/gi, `$1:${redacted}@`],
  // A join token: secret and fingerprint of the authority.
  [/\b[\w-]{16,}\.[0-9a-f]{64}\b/g, redacted],
  // Hashes of passwords, argon2 and crypt.
  [/\$(argon2\w*|2[aby]|5|6|y)\$[\w$./+=,-]+/g, redacted],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${redacted}`],
  // name=value and name: value of a command line or a text.
  [/\b([\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key))(["']?\s*[=:]\s*["']?)[^\s"',;&}]+/gi, `$1$2${redacted}`],
];

/** The text without what has the shape of a secret. */
export const redactText = (text: string): string => secretShapes.reduce((left, [shape, instead]) => left.replace(shape, instead), text);

/** The value with every field that has a secret's name emptied, and every text in it redacted. Dates and the like become what JSON makes of them. */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, holdsSecret(name, inner) ? redacted : redact(inner)]));
}

const holdsSecret = (name: string, value: unknown): boolean =>
  secretName.test(name) && value !== null && typeof value !== 'boolean' && typeof value !== 'number';

/** One line of a log: JSON by its fields, anything else as text. */
export function redactLine(line: string): string {
  if (!/^[{[]/.test(line)) return redactText(line);
  try {
    return JSON.stringify(redact(JSON.parse(line)));
  } catch {
    return redactText(line);
  }
}
