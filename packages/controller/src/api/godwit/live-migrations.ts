import { LiveMigrationRequest, MigrationChange } from '@godwit/contract/schemas/godwit/migration-policy';
import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { assertBody } from '../json-body.ts';
import { readPolicy } from './migration-policies.ts';
import { migrationOf } from './migrations.ts';
import { requireAdmin } from './require-admin.ts';

type Body = {
  readonly host?: string | null;
  readonly blockMigration?: boolean | 'auto';
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly maxBandwidthBytes?: number | null;
};

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * What the compute API has no word for: `POST /servers/{id}/live-migrations` with a policy and a bandwidth of its own (refusals as from 2.34: what no host passes is found out after the
 * answer), `PATCH /migrations/{id}` changes bandwidth and policy of a running one, `POST /migrations/{id}/force-complete`. For admins.
 */
export function liveMigrationRoutes(app: FastifyInstance, context: AppContext): void {
  const { db } = context;
  app.post('/servers/:id/live-migrations', async (request, reply) => {
    const caller = await requireAdmin(db, request);
    const { id } = request.params as { readonly id: string };
    if (!uuid.test(id)) throw new GodwitError('ServerNotFound', `Instance ${id.slice(0, 255)} could not be found.`);
    const body = (request.body ?? {}) as Body;
    assertBody(LiveMigrationRequest, body);
    const migration = await context.operations.liveMigrate(caller, as<ServerId>(id), {
      host: body.host ?? null,
      blockMigration: body.blockMigration ?? 'auto',
      force: false,
      checksBeforeAnswer: false,
      policy: readPolicy(body.policy ?? {}),
      ...(body.maxBandwidthBytes === undefined || body.maxBandwidthBytes === null ? {} : { maxBandwidthBytes: body.maxBandwidthBytes }),
    });
    return reply.code(202).send({ migration: { id: migration } });
  });
  app.post('/migrations/:id/force-complete', async (request, reply) => {
    const caller = await requireAdmin(db, request);
    const row = await migrationOf(db, (request.params as { readonly id: string }).id);
    await context.operations.forceComplete(caller, as<MigrationId>(row.id));
    return reply.code(202).send({ migration: { id: row.id } });
  });
  app.patch('/migrations/:id', async (request) => {
    await requireAdmin(db, request);
    const row = await migrationOf(db, (request.params as { readonly id: string }).id);
    assertBody(MigrationChange, request.body);
    const { maxBandwidthBytes, policy } = request.body as Pick<Body, 'maxBandwidthBytes' | 'policy'>;
    if (policy !== undefined) await context.operations.changePolicy(as<MigrationId>(row.id), readPolicy(policy));
    if (maxBandwidthBytes !== undefined) await context.operations.capMigration(as<MigrationId>(row.id), maxBandwidthBytes);
    const { policy: now, max_bandwidth_bytes } = await migrationOf(db, row.id);
    return { migration: { id: row.id, maxBandwidthBytes: max_bandwidth_bytes, policy: now } };
  });
}
