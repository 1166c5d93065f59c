import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';

/** argon2id with the library's defaults (19 MiB, 2 passes, 1 lane: OWASP's minimum), about 60 ms on another thread. */
export const hashPassword = (password: string): Promise<string> => hash(password);

/**
 * True when the password is the one. With no hash (no such user, or one without a password) it takes as long and is false,
 * so that the time of an answer does not tell which users exist.
 */
export async function verifyPassword(passwordHash: string | null, password: string): Promise<boolean> {
  if (passwordHash === null) {
    unknownUserHash ??= hash(randomBytes(16).toString('hex'));
    await verify(await unknownUserHash, password);
    return false;
  }
  return verify(passwordHash, password);
}

let unknownUserHash: Promise<string> | null = null;

/** A password nobody has to invent: 24 characters, 143 bits, no character that a shell would want quoted. */
export function generatePassword(): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const out: string[] = [];
  while (out.length < 24) {
    for (const byte of randomBytes(32)) if (byte < 248 && out.length < 24) out.push(alphabet.charAt(byte % 62));
  }
  return out.join('');
}
