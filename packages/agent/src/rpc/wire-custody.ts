import { create } from '@bufbuild/protobuf';
import {
  type Custody,
  ReleaseSchema,
  EndState as WireEndState,
  type Grant as WireGrant,
  type Release as WireRelease,
  TakeAnswer as WireTakeAnswer,
} from '@godwit/contract/gen/custody_pb';
import type { Grant } from '@godwit/domain/custody/grant';
import { GodwitError } from '@godwit/domain/errors';
import { as, asEpoch, asFence, type BootId } from '@godwit/domain/ids';
import type { Authority, ReleaseNotice } from '../drivers/host-driver.ts';
import type { TakeAnswer } from '../drivers/migration-report.ts';
import { idFromWire, numberFromWire } from './wire-guest.ts';

/** A grant as sent. It must name the boot of the destination that it was made for: without it no take and no forfeit is proven. */
export function grantFromWire(wire: WireGrant | undefined): Grant {
  if (!wire) throw new GodwitError('BadRequest', 'the request carries no grant');
  if (wire.destinationBootId === '') throw new GodwitError('BadRequest', 'the grant does not name the boot of its destination');
  const plain = wire.migrationId === '' && wire.sourceHostId === '';
  return {
    serverId: idFromWire(wire.serverId, 'server id'),
    migrationId: plain ? null : idFromWire(wire.migrationId, 'migration id'),
    source: plain ? null : idFromWire(wire.sourceHostId, 'source host id'),
    destination: idFromWire(wire.destinationHostId, 'destination host id'),
    epoch: asEpoch(numberFromWire(wire.epoch, 'epoch')),
    previousEpoch: asEpoch(numberFromWire(wire.previousEpoch, 'previous epoch')),
    fence: asFence(numberFromWire(wire.fence, 'fence')),
    endState: endStateFromWire(wire.endState),
    bootId: as<BootId>(wire.destinationBootId),
    postCopy: wire.postCopy,
    ...(wire.memoryEpoch === 0n ? {} : { memory: asEpoch(numberFromWire(wire.memoryEpoch, 'memory epoch')) }),
  };
}

function endStateFromWire(state: WireEndState): 'running' | 'paused' {
  switch (state) {
    case WireEndState.RUNNING:
      return 'running';
    case WireEndState.PAUSED:
      return 'paused';
    default:
      throw new GodwitError('BadRequest', 'the grant does not say whether the guest ends running or paused');
  }
}

export function authorityFromWire(wire: Custody | undefined): Authority {
  if (!wire) throw new GodwitError('BadRequest', 'the request carries no custody epoch');
  return {
    serverId: idFromWire(wire.serverId, 'server id'),
    epoch: asEpoch(numberFromWire(wire.epoch, 'epoch')),
    fence: asFence(numberFromWire(wire.fence, 'fence')),
  };
}

export function releaseFromWire(wire: WireRelease | undefined): ReleaseNotice {
  if (!wire) throw new GodwitError('BadRequest', 'the request carries no release');
  return {
    serverId: idFromWire(wire.serverId, 'server id'),
    migrationId: idFromWire(wire.migrationId, 'migration id'),
    source: idFromWire(wire.sourceHostId, 'source host id'),
    destination: idFromWire(wire.destinationHostId, 'destination host id'),
    epoch: asEpoch(numberFromWire(wire.epoch, 'epoch')),
    stoppedAtMs: wire.stoppedAtMs,
    completedAtMs: wire.completedAtMs,
    ...(wire.sinceStopMs > 0 && { sinceStopMs: wire.sinceStopMs }),
    ...(wire.stoppedAtYoursMs > 0 && { stoppedAtYoursMs: wire.stoppedAtYoursMs }),
  };
}

export const releaseToWire = (release: ReleaseNotice): WireRelease =>
  create(ReleaseSchema, {
    serverId: release.serverId,
    migrationId: release.migrationId,
    sourceHostId: release.source,
    destinationHostId: release.destination,
    epoch: BigInt(release.epoch),
    stoppedAtMs: release.stoppedAtMs,
    completedAtMs: release.completedAtMs,
    sinceStopMs: release.sinceStopMs ?? 0,
    stoppedAtYoursMs: release.stoppedAtYoursMs ?? 0,
  });

const answers: Readonly<Record<TakeAnswer, WireTakeAnswer>> = {
  'has-not-and-forfeits': WireTakeAnswer.HAS_NOT_AND_FORFEITS,
  'took-alive': WireTakeAnswer.TOOK_ALIVE,
  'took-dead': WireTakeAnswer.TOOK_DEAD,
  unknown: WireTakeAnswer.UNKNOWN,
};
export const takeAnswerToWire = (answer: TakeAnswer): WireTakeAnswer => answers[answer];

export function takeAnswerFromWire(answer: WireTakeAnswer): TakeAnswer {
  for (const [mine, wire] of Object.entries(answers)) if (wire === answer) return mine as TakeAnswer;
  return 'unknown';
}
