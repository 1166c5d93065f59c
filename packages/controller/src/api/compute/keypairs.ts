import { CreateKeypair, KeypairAnswer, KeypairCreateAnswer, KeypairsAnswer } from '@godwit/contract/schemas/compute/keypairs';
import { KeypairQuery, KeypairsQuery } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { policyMessage } from '@godwit/domain/server-states';
import type { Selectable } from 'kysely';
import { assertAllowed, type PolicyRule } from '../../auth/policy.ts';
import { countAlone } from '../../quotas/demand-quota.ts';
import { readQuotas } from '../../quotas/read-quotas.ts';
import type { KeypairTable } from '../../store/api-tables.ts';
import type { Tx } from '../../store/database.ts';
import { one, page } from '../query.ts';
import { microTime } from '../time-format.ts';
import { givenKeypair, newKeypair } from './keypair-material.ts';
import { nextLinks } from './paging.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

type Row = Selectable<KeypairTable>;

const base = (row: Pick<Row, 'name' | 'public_key' | 'fingerprint' | 'type'>, minor: number) => ({
  name: row.name,
  public_key: row.public_key,
  fingerprint: row.fingerprint,
  ...(minor >= 2 ? { type: row.type } : {}),
});

/** Whose key pairs are meant: the caller's own, or (2.10) those of a user an admin names. */
function ownerOf(request: ComputeRequest<never>, named: string | null | undefined, rule: PolicyRule): string {
  assertAllowed(request.caller, rule);
  if (named === null || named === undefined || request.minor < 10) return request.caller.userId;
  if (named !== request.caller.userId && !request.caller.isAdmin)
    throw new GodwitError('Forbidden', policyMessage(`os_compute_api:${rule}`));
  return named;
}

async function keypairOf(request: ComputeRequest<never>, rule: PolicyRule): Promise<Row> {
  const owner = ownerOf(request, one(request.query, 'user_id'), rule);
  const name = param(request, 'keypair');
  const row = await request.context.db
    .selectFrom('keypair')
    .selectAll()
    .where('user_id', '=', owner)
    .where('name', '=', name)
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Keypair ${name.slice(0, 255)} not found for user ${owner}`);
  return row;
}

async function create(request: ComputeRequest<CreateKeypair>) {
  const { minor, context } = request;
  const { name, public_key, type = 'ssh', user_id } = request.body.keypair;
  const owner = ownerOf(request as ComputeRequest<never>, user_id, 'os-keypairs:create');
  const made = public_key === undefined ? await newKeypair(type, { comment: name, user: owner }) : givenKeypair(type, public_key);
  const row = await context.db.transaction().execute(async (tx) => {
    await demandRoom(tx, request.caller.projectId, owner);
    return tx
      .insertInto('keypair')
      .values({ user_id: owner, name, type, public_key: made.publicKey, fingerprint: made.fingerprint })
      .onConflict((c) => c.doNothing())
      .returningAll()
      .executeTakeFirst();
  });
  if (row === undefined) throw new GodwitError('Conflict', `Key pair '${name}' already exists.`);
  return {
    status: minor >= 2 ? 201 : 200,
    body: { keypair: { ...base(row, minor), user_id: owner, ...(made.privateKey === null ? {} : { private_key: made.privateKey }) } },
  };
}

/** Throws OverQuota when the user has as many as the project that asks allows. */
async function demandRoom(tx: Tx, projectId: string, userId: string): Promise<void> {
  const { key_pairs: most } = await readQuotas(tx, projectId, userId);
  if (most < 0) return;
  await countAlone(tx, `key pairs of ${userId}`);
  const { count } = await tx
    .selectFrom('keypair')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow();
  if (count >= most) throw new GodwitError('OverQuota', 'Quota exceeded, too many key pairs.');
}

async function list(request: ComputeRequest<never>) {
  const { minor, query, context } = request;
  const owner = ownerOf(request, one(query, 'user_id'), 'os-keypairs:index');
  const { limit, marker } = minor >= 35 ? page(query) : { limit: 1000, marker: null };
  const all = await context.db.selectFrom('keypair').selectAll().where('user_id', '=', owner).orderBy('name').execute();
  const at = marker === null ? -1 : all.findIndex((row) => row.name === marker);
  if (marker !== null && at < 0) throw new GodwitError('BadRequest', `Marker ${marker.slice(0, 120)} could not be found.`);
  const rows = all.slice(at + 1, at + 1 + limit);
  return {
    status: 200,
    body: {
      keypairs: rows.map((row) => ({ keypair: base(row, minor) })),
      ...(minor >= 35 ? nextLinks(request, 'keypairs', rows, limit, rows.at(-1)?.name) : {}),
    },
  };
}

export const keypairRoutes: readonly ComputeRoute[] = [
  route('GET', '/os-keypairs', { query: KeypairsQuery, response: KeypairsAnswer, handle: list }),
  route('POST', '/os-keypairs', { body: CreateKeypair, response: KeypairCreateAnswer, handle: create }),
  route('GET', '/os-keypairs/:keypair', {
    query: KeypairQuery,
    response: KeypairAnswer,
    handle: async (request) => {
      const row = await keypairOf(request, 'os-keypairs:show');
      return {
        status: 200,
        body: {
          keypair: {
            ...base(row, request.minor),
            user_id: row.user_id,
            id: row.api_id,
            deleted: false,
            created_at: microTime(row.created_at),
            updated_at: null,
            deleted_at: null,
          },
        },
      };
    },
  }),
  route('DELETE', '/os-keypairs/:keypair', {
    query: KeypairQuery,
    response: () => null,
    handle: async (request) => {
      const row = await keypairOf(request, 'os-keypairs:delete');
      await request.context.db.deleteFrom('keypair').where('user_id', '=', row.user_id).where('name', '=', row.name).execute();
      return { status: request.minor >= 2 ? 204 : 202 };
    },
  }),
];
