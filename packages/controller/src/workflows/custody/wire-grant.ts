import { create } from '@bufbuild/protobuf';
import { type Custody, CustodySchema, EndState, GrantSchema, type Grant as WireGrant } from '@godwit/contract/gen/custody_pb';
import type { Grant } from '@godwit/domain/custody/grant';
import type { Epoch, Fence, ServerId } from '@godwit/domain/ids';

/** A grant on the wire, under the fence of the executor that sends it now (the one that obtained it may be gone). */
export function wireGrant(grant: Grant, fence: Fence): WireGrant {
  return create(GrantSchema, {
    serverId: grant.serverId,
    migrationId: grant.migrationId ?? '',
    sourceHostId: grant.source ?? '',
    destinationHostId: grant.destination,
    previousEpoch: BigInt(grant.previousEpoch),
    epoch: BigInt(grant.epoch),
    fence: BigInt(fence),
    endState: grant.endState === 'paused' ? EndState.PAUSED : EndState.RUNNING,
    destinationBootId: grant.bootId,
    postCopy: grant.postCopy,
    memoryEpoch: BigInt(grant.memory ?? 0),
  });
}

export function wireCustody(serverId: ServerId, epoch: Epoch, fence: Fence): Custody {
  return create(CustodySchema, { serverId, epoch: BigInt(epoch), fence: BigInt(fence) });
}
