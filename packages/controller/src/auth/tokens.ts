import { randomBytes, randomUUID } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';

/** What a token is good for. */
export type TokenScope =
  | { readonly kind: 'project'; readonly projectId: string }
  | { readonly kind: 'domain'; readonly domainId: string }
  | { readonly kind: 'none' };

export type NamedRef = { readonly id: string; readonly name: string };

/** A token that holds now: signature, time, revocation, and everybody it names still there and enabled. */
export type Token = {
  readonly methods: readonly string[];
  /** The token's own audit id, then those of the tokens it was made from, the first one last. */
  readonly auditIds: readonly string[];
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  readonly user: NamedRef & { readonly domain: NamedRef };
  readonly scope: TokenScope;
  readonly project: (NamedRef & { readonly domain: NamedRef }) | null;
  readonly domain: NamedRef | null;
  /** Implied roles included (admin → member → reader); empty when unscoped. */
  readonly roles: readonly NamedRef[];
};

export type NewToken = {
  readonly userId: string;
  readonly scope: TokenScope;
  readonly methods: readonly string[];
  /** A token made from another one keeps its end, and ends with it when it is revoked. */
  readonly from?: Pick<Token, 'auditIds' | 'expiresAt'>;
};

/** Keystone's default is one hour; a long migration is watched for longer. */
export const tokenLifetimeMs = 4 * 3_600_000;

/** Signs with the newest key of the database, so tokens survive restarts and are good at every controller. Does not check the scope: `readToken` does. */
export async function issueToken(db: Db, wanted: NewToken): Promise<string> {
  const key = await signingKey(db);
  const now = Date.now();
  const auditId = randomBytes(16).toString('base64url');
  const expiresAt = Math.min(now + tokenLifetimeMs, wanted.from?.expiresAt.getTime() ?? Infinity);
  return new SignJWT({
    mth: wanted.methods,
    aid: [auditId, ...(wanted.from?.auditIds ?? [])],
    iam: now,
    eam: expiresAt,
    ...(wanted.scope.kind === 'project' ? { prj: wanted.scope.projectId } : {}),
    ...(wanted.scope.kind === 'domain' ? { dom: wanted.scope.domainId } : {}),
  })
    .setProtectedHeader({ alg: 'HS256', kid: key.id })
    .setSubject(wanted.userId)
    .setIssuer('godwit')
    .setExpirationTime(Math.ceil(expiresAt / 1000))
    .sign(key.secret);
}

/**
 * The token, or null for one that does not hold: forged, expired, revoked, older than the user's last change of password, of a user, project or domain that is
 * gone or disabled, or with a scope in which the user has no role any more. One database round trip.
 */
export async function readToken(db: Db, text: string): Promise<Token | null> {
  const claims = await verified(db, text);
  if (claims === null) return null;
  const row = await db
    .selectFrom('identity_user as u')
    .innerJoin('identity_domain as ud', 'ud.id', 'u.domain_id')
    .leftJoin('identity_project as p', (join) => join.on('p.id', '=', claims.projectId ?? ''))
    .leftJoin('identity_domain as pd', 'pd.id', 'p.domain_id')
    .leftJoin('identity_domain as d', (join) => join.on('d.id', '=', claims.domainId ?? ''))
    .select([
      'u.id as userId',
      'u.name as userName',
      'u.enabled as userEnabled',
      'u.tokens_valid_after',
      'ud.id as userDomainId',
      'ud.name as userDomainName',
      'ud.enabled as userDomainEnabled',
      'p.id as projectId',
      'p.name as projectName',
      'p.enabled as projectEnabled',
      'pd.id as projectDomainId',
      'pd.name as projectDomainName',
      'pd.enabled as projectDomainEnabled',
      'd.id as domainId',
      'd.name as domainName',
      'd.enabled as domainEnabled',
    ])
    .select(sql<boolean>`exists (select from token_revocation r where r.audit_id = any(${claims.auditIds}))`.as('revoked'))
    .select(
      sql<
        readonly NamedRef[]
      >`coalesce((select jsonb_agg(jsonb_build_object('id', r.id, 'name', r.name) order by r.name) from identity_role r
      where r.name in (select name from effective_role_names(u.id, ${claims.projectId}::text, ${claims.domainId}::text))), '[]')`.as(
        'roles',
      ),
    )
    .where('u.id', '=', claims.userId)
    .executeTakeFirst();
  if (row === undefined || row.revoked || !row.userEnabled || !row.userDomainEnabled || claims.issuedAt < row.tokens_valid_after)
    return null;
  const domain = { id: row.userDomainId, name: row.userDomainName };
  const token = {
    methods: claims.methods,
    auditIds: claims.auditIds,
    issuedAt: claims.issuedAt,
    expiresAt: claims.expiresAt,
    user: { id: row.userId, name: row.userName, domain },
  };
  if (claims.projectId !== null) {
    if (row.projectId === null || row.projectName === null || row.projectDomainId === null || row.projectDomainName === null) return null;
    if (row.projectEnabled !== true || row.projectDomainEnabled !== true || row.roles.length === 0) return null;
    const project = { id: row.projectId, name: row.projectName, domain: { id: row.projectDomainId, name: row.projectDomainName } };
    return { ...token, scope: { kind: 'project', projectId: row.projectId }, project, domain: null, roles: row.roles };
  }
  if (claims.domainId !== null) {
    if (row.domainId === null || row.domainName === null || row.domainEnabled !== true || row.roles.length === 0) return null;
    return {
      ...token,
      scope: { kind: 'domain', domainId: row.domainId },
      project: null,
      domain: { id: row.domainId, name: row.domainName },
      roles: row.roles,
    };
  }
  return { ...token, scope: { kind: 'none' }, project: null, domain: null, roles: [] };
}

/** From now on no controller accepts the token, nor any made from it. */
export async function revokeToken(db: Db, token: Token): Promise<void> {
  const audit_id = token.auditIds.at(0);
  if (audit_id === undefined) throw new Error('a token without an audit id');
  await db
    .insertInto('token_revocation')
    .values({ audit_id, expires_at: token.expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await db.deleteFrom('token_revocation').where('expires_at', '<', sql<Date>`now() - interval '1 minute'`).execute();
}

type Claims = {
  readonly userId: string;
  readonly projectId: string | null;
  readonly domainId: string | null;
  readonly methods: readonly string[];
  readonly auditIds: readonly string[];
  readonly issuedAt: Date;
  readonly expiresAt: Date;
};

async function verified(db: Db, text: string): Promise<Claims | null> {
  if (text.length > 4096) return null;
  try {
    const { payload } = await jwtVerify(text, (header) => secretOf(db, header.kid), { algorithms: ['HS256'], issuer: 'godwit' });
    const { sub, mth, aid, iam, eam, prj, dom } = payload;
    if (sub === undefined || !isStrings(mth) || !isStrings(aid) || typeof iam !== 'number' || typeof eam !== 'number' || eam <= Date.now())
      return null;
    return {
      userId: sub,
      methods: mth,
      auditIds: aid,
      issuedAt: new Date(iam),
      expiresAt: new Date(eam),
      projectId: typeof prj === 'string' ? prj : null,
      domainId: typeof dom === 'string' ? dom : null,
    };
  } catch (error) {
    if (isTokenRefusal(error)) return null;
    throw error;
  }
}

/** Whether what was thrown while a token was read says that the token does not hold. jose's own refusals all have a code; anything else (the database, say) is not the token's fault. */
export function isTokenRefusal(error: unknown): boolean {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('ERR_J')) return true;
  return error instanceof UnknownKey || error instanceof TypeError || error instanceof SyntaxError;
}

const isStrings = (value: unknown): value is string[] => Array.isArray(value) && value.every((item) => typeof item === 'string');

class UnknownKey extends Error {}

type Key = { readonly id: string; readonly secret: Uint8Array };
/** Keys never change, so each process reads each once. */
const keysOf = new WeakMap<object, Map<string, Key>>();

/** The secret of a key of this cloud. Throws what `isTokenRefusal` knows when there is no such key. */
export async function secretOf(db: Db, id: string | undefined): Promise<Uint8Array> {
  const known = keysOf.get(db)?.get(id ?? '') ?? (await loadKeys(db)).get(id ?? '');
  if (known === undefined) throw new UnknownKey('a token signed with a key that this cloud does not have');
  return known.secret;
}

/** The newest key; made when there is none. */
export async function signingKey(db: Db): Promise<Key> {
  const newest = [...(keysOf.get(db) ?? (await loadKeys(db))).values()].at(-1);
  if (newest !== undefined) return newest;
  // Two controllers that start at once: the lock makes one of them the maker.
  await db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('token_key'))`.execute(tx);
    const existing = await tx.selectFrom('token_key').select('id').limit(1).executeTakeFirst();
    if (existing === undefined)
      await tx
        .insertInto('token_key')
        .values({ id: randomUUID(), secret: randomBytes(32) })
        .execute();
  });
  const made = [...(await loadKeys(db)).values()].at(-1);
  if (made === undefined) throw new Error('the token key that was just made is not there');
  return made;
}

async function loadKeys(db: Db): Promise<Map<string, Key>> {
  const rows = await db.selectFrom('token_key').select(['id', 'secret']).orderBy('created_at').orderBy('id').execute();
  const keys = new Map(rows.map((row) => [row.id, { id: row.id, secret: new Uint8Array(row.secret) }]));
  if (keys.size > 0) keysOf.set(db, keys);
  return keys;
}
