import { create } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import {
  type ClockResponse,
  ClockResponseSchema,
  HandoverAnswerSchema,
  type Peer,
  type ReleaseRequest,
  type ReleaseResponse,
  ReleaseResponseSchema,
  SetNetworkOpenResponseSchema,
} from '@godwit/contract/gen/agent_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { HostDriver } from '../drivers/host-driver.ts';
import { forbidden, requireHost } from './caller.ts';
import { diskChunks, imageChunks, imageFormatFromWire } from './disk-streams.ts';
import { releaseFromWire, takeAnswerToWire } from './wire-custody.ts';
import { idFromWire } from './wire-guest.ts';

/** The Peer service over a driver. A host may speak only for itself: the release's source must be the certificate's host. */
export function peerService(driver: HostDriver): ServiceImpl<typeof Peer> {
  const clock = (): ClockResponse => {
    const receivedAtMs = driver.nowMs();
    return create(ClockResponseSchema, { receivedAtMs, sentAtMs: driver.nowMs() });
  };
  const release = async ({ release: wire }: ReleaseRequest, context: HandlerContext): Promise<ReleaseResponse> => {
    const notice = releaseFromWire(wire);
    const caller = requireHost(context.values);
    if (notice.source !== caller) throw forbidden(`host ${caller} cannot release for host ${notice.source}`);
    const { answer, detail, resumedAtMs } = await driver.release(notice);
    return create(ReleaseResponseSchema, { answer: takeAnswerToWire(answer), detail, resumedAtMs: resumedAtMs ?? 0 });
  };
  return {
    clock,
    release,
    handover: async function* (steps, context) {
      for await (const { step } of steps) {
        switch (step.case) {
          case 'clock':
            yield create(HandoverAnswerSchema, { answer: { case: 'clock', value: clock() } });
            break;
          case 'release':
            yield create(HandoverAnswerSchema, { answer: { case: 'release', value: await release(step.value, context) } });
            break;
          default:
            throw new GodwitError('BadRequest', 'a step of a handover that this agent does not know');
        }
      }
    },
    readDisk: ({ migrationId, diskId }, context) =>
      diskChunks(driver, requireHost(context.values), idFromWire(migrationId, 'migration id'), diskId),
    readImage: ({ pool, imageId, format }, context) => {
      requireHost(context.values);
      return imageChunks(driver, pool, { imageId: idFromWire(imageId, 'image id'), format: imageFormatFromWire(format), sha512: '' });
    },
    setNetworkOpen: async ({ migrationId, open, busyPorts }, context) => {
      const opened = await driver.setNetworkOpen(requireHost(context.values), idFromWire(migrationId, 'migration id'), open, busyPorts);
      return create(SetNetworkOpenResponseSchema, { encapsulationJson: opened ? JSON.stringify(opened) : '' });
    },
  };
}
