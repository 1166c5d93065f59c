import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId } from '@godwit/domain/ids';
import { type PredictionScore, summarizeScores } from '@godwit/domain/prediction/score';
import { ramOf } from '@godwit/domain/scheduling/flavor-requirements';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { streamOfMove } from '../../workflows/live-migrate/stream-of-move.ts';
import { allowedBandwidth } from '../../workflows/live-migrate/wire-policy.ts';
import { policyOfMove } from '../../workflows/policy/policy-of-move.ts';
import { predictMove } from '../../workflows/prediction/predict-move.ts';
import { requireAdmin } from './require-admin.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A whole look at the guest, a short and a long one, as it is now. */
const LOOK = { maxAgeMs: 5_000, maxWaitMs: 1_500 };
const SCORED = 1_000;

/**
 * `GET /servers/{id}/prediction?destination=`: how a live migration would go now, under the policy that it would have; `GET /predictions/score`: how the predictions stored before the
 * last thousand moves compare with what became of them. For admins.
 */
export function predictionRoutes(app: FastifyInstance, { db, agents }: Pick<AppContext, 'db' | 'agents'>): void {
  app.get('/servers/:id/prediction', async (request) => {
    await requireAdmin(db, request);
    const { id } = request.params as { readonly id: string };
    const { destination } = request.query as { readonly destination?: string };
    const server = uuid.test(id)
      ? await db.selectFrom('server').selectAll().where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst()
      : undefined;
    if (server === undefined) throw new GodwitError('ServerNotFound', `Instance ${id.slice(0, 255)} could not be found.`);
    const host =
      destination === undefined
        ? null
        : await db
            .selectFrom('host')
            .select(['id', 'name'])
            .where('name', '=', destination)
            .where('deleted_at', 'is', null)
            .executeTakeFirst();
    if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${destination?.slice(0, 255) ?? ''} could not be found.`);
    if (server.host_id === null || (server.vm_state !== 'active' && server.vm_state !== 'paused'))
      throw new GodwitError('InvalidState', `Instance ${id} does not run: only a running or paused one can be live-migrated.`);
    const policy = await policyOfMove(db, server, {});
    const capBytesPerSecond = await allowedBandwidth(db, {
      source_host_id: server.host_id,
      destination_host_id: host?.id ?? null,
      max_bandwidth_bytes: null,
    });
    const stream = await streamOfMove(db, {
      serverId: id,
      source: server.host_id,
      destination: host?.id ?? null,
      asked: policy.memoryStream,
      copiesDisks:
        (await db.selectFrom('disk').select('id').where('server_id', '=', id).where('storage', '=', 'local').execute()).length > 0,
    });
    const prediction = await predictMove(
      { db, agents },
      {
        serverId: id,
        ramMib: ramOf(server.flavor),
        source: as<HostId>(server.host_id),
        destination: host?.id ?? null,
        policy,
        capBytesPerSecond,
        stream: stream.used,
        paused: server.vm_state === 'paused',
      },
      LOOK,
    );
    return { server: { id, name: server.name }, destination: host === null ? null : { id: host.id, name: host.name }, policy, prediction };
  });
  app.get('/predictions/score', async (request) => {
    await requireAdmin(db, request);
    const rows = await db
      .selectFrom('migration')
      .select('prediction_score as score')
      .where('prediction_score', 'is not', null)
      .orderBy('finished_at', 'desc')
      .limit(SCORED)
      .execute();
    return { promised: { coverage: 0.9 }, score: summarizeScores(rows.map(({ score }) => score as PredictionScore)) };
  });
}
