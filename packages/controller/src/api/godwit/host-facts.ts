import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { requireAdmin } from './require-admin.ts';

/** `GET /hosts`: what each host's agent says of it (versions, accelerator, pools) and what its self-test has seen working. For admins. */
export function hostFactRoutes(app: FastifyInstance, { db, config }: Pick<AppContext, 'db' | 'config'>): void {
  app.get('/hosts', async (request) => {
    await requireAdmin(db, request);
    const hosts = await db
      .selectFrom('host')
      .select(['id', 'name', 'facts', 'restart_guests_after_boot', 'reachable', 'last_seen_at', 'fenced_at'])
      .where('deleted_at', 'is', null)
      .orderBy('api_id')
      .execute();
    const allocationRatios = { vcpus: config.cpuAllocationRatio, ramMib: config.ramAllocationRatio, diskGib: config.diskAllocationRatio };
    return {
      hosts: hosts.map(({ id, name, facts, restart_guests_after_boot, reachable, last_seen_at, fenced_at }) => ({
        id,
        name,
        restartGuestsAfterBoot: restart_guests_after_boot,
        reachable,
        lastSeenAt: last_seen_at?.toISOString() ?? null,
        // Null again once it is back and was compared.
        fencedAt: fenced_at?.toISOString() ?? null,
        accelerator: facts.accelerator,
        acceleratorReason: facts.acceleratorReason,
        qemuVersion: facts.qemuVersion,
        agentVersion: facts.agentVersion,
        kernel: facts.kernel,
        cpuModel: facts.cpuModel,
        bootedAt: new Date(facts.bootedAtMs).toISOString(),
        load: facts.load,
        allocationRatios,
        pools: facts.pools,
        selfTest: facts.selfTest,
      })),
    };
  });
}
