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

/** For so long after it was used a token answers the very request that used it once more: its answer may have been lost. Longer than an agent takes to try again, also over a restart. */
export const JOIN_AGAIN_MS = 15 * 60_000;

export type UsedToken = {
  readonly secretHash: string;
  /** The only host that it lets in; null: any new one. */
  readonly hostName: string | null;
  /** The host that has joined with it, when this is the same request again; null at first. */
  readonly joined: string | null;
};

/**
 * Uses the token up, in a transaction of its own: it is gone even if the host is refused afterwards. A host that has joined and asks again with the same certificate
 * request, hence the same key, may do so for a while: nobody else can use what it is answered. Throws Unauthorized when the token is unknown, expired or used; the
 * three look the same from outside.
 */
export async function useJoinToken(db: Db, token: string, certificateRequestPem: string): Promise<UsedToken> {
  const secretHash = hash(token.split('.')[0] ?? '');
  const requestHash = hash(certificateRequestPem);
  const now = new Date();
  const used = await db
    .updateTable('join_token')
    .set((expression) => ({ used_at: expression.fn.coalesce('used_at', expression.val(now)), request_hash: requestHash }))
    .where('secret_hash', '=', secretHash)
    .where((expression) =>
      expression.or([
        expression.and([expression('used_at', 'is', null), expression('expires_at', '>', now)]),
        expression.and([expression('request_hash', '=', requestHash), expression('used_at', '>', new Date(now.getTime() - JOIN_AGAIN_MS))]),
      ]),
    )
    .returning(['host_name', 'used_by'])
    .executeTakeFirst();
  if (used === undefined) throw new GodwitError('Unauthorized', 'the join token is unknown, expired or used');
  return { secretHash, hostName: used.host_name, joined: used.used_by };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
