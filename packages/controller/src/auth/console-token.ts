import { jwtVerify, SignJWT } from 'jose';
import type { Db } from '../store/database.ts';
import { isTokenRefusal, secretOf, signingKey } from './tokens.ts';

export const consoleKinds = ['serial', 'vnc'] as const;
export type ConsoleKind = (typeof consoleKinds)[number];
/** What a console's URL lets its holder do: look at one server's console of one kind, and type into it. */
export type ConsoleGrant = { readonly serverId: string; readonly kind: ConsoleKind; readonly userId: string };

/** Nova's `consoleauth` default. What is attached by then stays attached. */
const lifetimeSeconds = 600;
/** Not the issuer of other tokens: neither passes for the other. */
const issuer = 'godwit console';

/** A token for the URL of a console; who asked for it has been checked. */
export async function issueConsoleToken(db: Db, { serverId, kind, userId }: ConsoleGrant): Promise<string> {
  const key = await signingKey(db);
  return new SignJWT({ srv: serverId, knd: kind })
    .setProtectedHeader({ alg: 'HS256', kid: key.id })
    .setSubject(userId)
    .setIssuer(issuer)
    .setExpirationTime(`${lifetimeSeconds} seconds`)
    .sign(key.secret);
}

/** What the token grants, or null for one that does not hold: forged, expired, or no console's. */
export async function readConsoleToken(db: Db, text: string): Promise<ConsoleGrant | null> {
  if (text.length > 2048) return null;
  try {
    const { payload } = await jwtVerify(text, (header) => secretOf(db, header.kid), { algorithms: ['HS256'], issuer });
    const { sub, srv, knd } = payload;
    const kind = consoleKinds.find((one) => one === knd);
    return sub === undefined || typeof srv !== 'string' || kind === undefined ? null : { serverId: srv, kind, userId: sub };
  } catch (error) {
    if (isTokenRefusal(error)) return null;
    throw error;
  }
}
