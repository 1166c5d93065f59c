import type { BalanceAdvice } from '@godwit/contract/schemas/godwit/fleet-answers';
import { adviseBalance, contendedHosts, fullness } from '@godwit/domain/drain-plan/balance';
import { idOf } from '@godwit/domain/drain-plan/planned-server';
import { measureLinks } from './link-facts.ts';
import { loadPlanned } from './load-planned.ts';
import { type PlanContext, planningSnapshot } from './make-plan.ts';

/** Servers of contended hosts that are looked at, at most. */
const LOOKED_AT = 500;

/** Moves that relieve contended hosts, as the hosts are now. Nothing moves: `POST /operations` with these as items carries them out. */
export async function balanceAdvice(context: PlanContext): Promise<BalanceAdvice> {
  const { db } = context;
  const snapshot = await planningSnapshot(context, db, []);
  const contended = contendedHosts(snapshot);
  const ids =
    contended.length === 0
      ? []
      : await db
          .selectFrom('server')
          .select('id')
          .where(
            'host_id',
            'in',
            contended.map(({ id }) => id),
          )
          .where('deleted_at', 'is', null)
          .orderBy('created_at')
          .limit(LOOKED_AT)
          .execute();
  const loaded = await loadPlanned(
    db,
    ids.map(({ id }) => id),
    { kind: 'bulk', blockMigration: 'auto', onlyHost: () => null },
  );
  const links = await measureLinks(db, context.config.limits, 1);
  const moves = adviseBalance(snapshot, loaded.planned, {
    cost: (server, to) => ({
      linkMs: Math.ceil(
        (server.bytes / Math.min(links.facts.bytesPerSecond(server.demand.currentHost.id), links.facts.bytesPerSecond(to))) * 1000,
      ),
      blackoutMs: links.typicalBlackoutMs,
    }),
  });
  const after = new Map(snapshot.hosts.map((host) => [host.name, fullness(host)]));
  for (const move of moves) {
    after.set(move.server.demand.currentHost.name, move.sourceAfter);
    after.set(move.to.name, move.destinationAfter);
  }
  const names = contended.map(({ name }) => name).join(', ');
  return {
    sentence:
      contended.length === 0
        ? 'No host is contended.'
        : moves.length === 0
          ? `Contended: ${names}; no move is worth what it costs.`
          : `Contended: ${names}; ${moves.length === 1 ? '1 move relieves' : `${moves.length} moves relieve`} what can be relieved.`,
    moves: moves.map((move) => {
      const known = loaded.servers.get(idOf(move.server));
      const { currentHost, server } = move.server.demand;
      return {
        server: { id: server.id, name: server.name, projectId: known?.projectId ?? '', status: known?.status ?? '' },
        source: { ...currentHost },
        destination: { id: move.to.id, name: move.to.name },
        why: `${currentHost.name} is ${Math.round(move.sourceBefore)} % full: ${Math.round(move.sourceAfter)} % without it; ${move.to.name} will be ${Math.round(move.destinationAfter)} % full`,
        relief: {
          sourceBefore: round(move.sourceBefore),
          sourceAfter: round(move.sourceAfter),
          destinationAfter: round(move.destinationAfter),
        },
        cost: { bytes: move.server.bytes, ...move.cost },
      };
    }),
    hosts: snapshot.hosts
      .filter(({ facts }) => facts.hypervisorType === 'QEMU')
      .map((host) => ({ host: { id: host.id, name: host.name }, before: round(fullness(host)), after: round(after.get(host.name) ?? 0) })),
  };
}

const round = (perCent: number): number => Math.round(perCent * 10) / 10;
