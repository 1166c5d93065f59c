import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId, ServerId } from '@godwit/domain/ids';
import { type Db, inTransaction } from '../../store/database.ts';
import type { Caller, MigrateRequest } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { beginColdMove, demandServiceUp } from './begin-cold-move.ts';
import { demandTarget } from './live-migrate.ts';
import { lockForAction } from './lock-server.ts';

/**
 * Accepts a cold migration. Throws what the API answers, nothing changed: the refusals of the action table, SourceServiceDown, HostNotFound, BareMetalTarget, SameHost. Whether a host passes
 * is found out afterwards, and is in the record.
 */
export async function acceptMigrate(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: MigrateRequest,
): Promise<MigrationId> {
  return inTransaction(db, async (tx) => {
    const server = await lockForAction(tx, 'migrate', serverId, caller);
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    if (request.host !== null) {
      await demandTarget(tx, request.host);
      if (request.host === server.hostName) throw new GodwitError('SameHost', 'Cannot migrate to the host where the server exists.');
    }
    return beginColdMove(tx, workflows, caller, server, { type: 'migration', requestedHost: request.host, flavor: null });
  });
}
