import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { as, asEpoch, asFence, type ServerId } from '@godwit/domain/ids';
import type { Selectable } from 'kysely';
import type { ServerTable } from '../../store/core-tables.ts';

/** A server's custody, out of the columns that hold it. */
export const custodyRowOf = ({
  id,
  highest_epoch,
  fence,
  custody: { holder, operation, remains, behind },
}: Pick<Selectable<ServerTable>, 'id' | 'highest_epoch' | 'fence' | 'custody'>): CustodyRow => ({
  serverId: as<ServerId>(id),
  epoch: asEpoch(highest_epoch),
  fence: asFence(fence),
  holder,
  operation,
  remains,
  behind,
});
