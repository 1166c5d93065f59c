import { createHash, randomBytes } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import type { Db } from '../store/database.ts';
import { authorities } from './certificate-authority.ts';

/** How long a token may be used. */
export const JOIN_TOKEN_LIFETIME_MS = 24 * 3_600_000;

/** Makes a token that lets one host join within a day: `<secret>.<sha256 of the CA certificate>`. With `hostName` only that host, which may be a known one that lost its key. */
export async function createJoinToken(db: Db, hostName: string | null): Promise<string> {
  if (hostName !== null && !/^[A-Za-z0-9._-]{1,255}$/.test(hostName))
    throw new GodwitError('BadRequest', `"${hostName}" is not a host name`);
  const secret = randomBytes(24).toString('base64url');
  const { fingerprint } = await authorities(db);
  await db
    .insertInto('join_token')
    .values({ secret_hash: hash(secret), host_name: hostName, expires_at: new Date(Date.now() + JOIN_TOKEN_LIFETIME_MS) })
    .execute();
  return `${secret}.${fingerprint}`;
}

/**
 * Uses the token up, in a transaction of its own: it is gone even if the host is refused afterwards. Returns the host name it is bound to.
 * Throws Unauthorized when it is unknown, expired or used; the three look the same from outside.
 */
export async function useJoinToken(db: Db, token: string): Promise<{ readonly secretHash: string; readonly hostName: string | null }> {
  const secretHash = hash(token.split('.')[0] ?? '');
  const used = await db
    .updateTable('join_token')
    .set({ used_at: new Date() })
    .where('secret_hash', '=', secretHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', new Date())
    .returning(['host_name'])
    .executeTakeFirst();
  if (used === undefined) throw new GodwitError('Unauthorized', 'the join token is unknown, expired or used');
  return { secretHash, hostName: used.host_name };
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
