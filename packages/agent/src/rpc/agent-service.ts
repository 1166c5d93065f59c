import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import {
  type Agent,
  DestroyGuestResponseSchema,
  ForfeitIncomingResponseSchema,
  GetHostResponseSchema,
  ListGuestsResponseSchema,
  MeasureDirtyResponseSchema,
  OfferDisksResponseSchema,
  ReadConsoleResponseSchema,
  ReadLogsResponseSchema,
  WriteConsoleResponseSchema,
} from '@godwit/contract/gen/agent_pb';
import type { LogExcerpt } from '@godwit/telemetry/recent-log';
import type { HostDriver } from '../drivers/host-driver.ts';
import { awaitMigration, findMigration } from './await-migration.ts';
import { consoleChunks, displayData } from './console-streams.ts';
import { fetching, snapshotChunks } from './disk-streams.ts';
import { watch } from './watch.ts';
import { authorityFromWire, grantFromWire, releaseFromWire, takeAnswerToWire } from './wire-custody.ts';
import { guestFromWire, guestReportToWire, guestTimeToWire, idFromWire, numberFromWire } from './wire-guest.ts';
import { migrationReportToWire, peerFromWire, policyFromWire, readyFromWire, readyToWire } from './wire-migration.ts';

const mebibyte = 1_048_576;
/** The most of a console log that one answer holds. */
const consoleLimitBytes = 4 * mebibyte;

/** What a log of this agent, or the QEMU of a guest, says: lines with one of the words; see ReadLogs. */
export type ReadLogs = (
  words: readonly string[],
  serverId: string,
) => Promise<readonly { readonly name: string; readonly excerpt: LogExcerpt }[]>;

/** The Agent service over a driver: narrows what came over the wire, calls, widens the answer. Who may call is checked before (rpc-server). */
export function agentService(driver: HostDriver, hostName: string, readLogs: ReadLogs): ServiceImpl<typeof Agent> {
  const optionalGuest = (wire: Parameters<typeof guestFromWire>[0]) => (wire ? guestFromWire(wire) : null);
  return {
    getHost: async ({ bootOnly }) =>
      create(GetHostResponseSchema, {
        hostId: driver.hostId,
        hostName,
        bootId: driver.bootId,
        factsJson: bootOnly ? '' : JSON.stringify(await driver.facts()),
        nowMs: driver.nowMs(),
      }),
    listGuests: async () =>
      create(ListGuestsResponseSchema, {
        bootId: driver.bootId,
        guests: (await driver.guests()).map(guestReportToWire),
        migrations: driver.migrations().map(migrationReportToWire),
      }),
    watch: (request, context) => watch(driver, Number(request.afterSequence), context.signal),

    startGuest: async ({ grant, guest }) => guestReportToWire(await driver.startGuest(grantFromWire(grant), guestFromWire(guest))),
    stopGuest: async ({ custody, timeoutMs }) =>
      guestReportToWire(await driver.stopGuest(authorityFromWire(custody), numberFromWire(timeoutMs, 'timeout_ms'))),
    pauseGuest: async ({ custody }) => guestReportToWire(await driver.pauseGuest(authorityFromWire(custody))),
    unpauseGuest: async ({ custody }) => guestReportToWire(await driver.unpauseGuest(authorityFromWire(custody))),
    suspendGuest: async ({ custody, vcpus }) =>
      guestReportToWire(await driver.suspendGuest(authorityFromWire(custody), vcpus === 0 ? null : vcpus)),
    rebootGuest: async ({ custody, hard }) => guestReportToWire(await driver.rebootGuest(authorityFromWire(custody), hard)),
    changeNics: async ({ custody, guest }) => guestReportToWire(await driver.changeNics(authorityFromWire(custody), guestFromWire(guest))),
    scaleGuest: async ({ custody, guest }) => guestReportToWire(await driver.scaleGuest(authorityFromWire(custody), guestFromWire(guest))),
    scaleMemory: async ({ custody, ramMib }) =>
      guestReportToWire(await driver.scaleMemory(authorityFromWire(custody), numberFromWire(ramMib, 'ram_mib'))),
    destroyGuest: async ({ custody, deleteDisks, guest }) =>
      create(DestroyGuestResponseSchema, {
        existed: await driver.destroyGuest(authorityFromWire(custody), deleteDisks, optionalGuest(guest)),
      }),
    supersede: async ({ custody }) => guestReportToWire(await driver.supersede(authorityFromWire(custody))),
    readConsole: async ({ serverId, maxBytes, maxLines }) => {
      const asked = numberFromWire(maxBytes, 'max_bytes');
      return create(ReadConsoleResponseSchema, {
        data: await driver.readConsole(
          idFromWire(serverId, 'server id'),
          asked === 0 ? consoleLimitBytes : Math.min(asked, consoleLimitBytes),
          maxLines,
        ),
      });
    },
    followConsole: (request, { signal }) => consoleChunks(driver, request, signal),
    writeConsole: async ({ serverId, data }) => {
      await driver.consoles.write(idFromWire(serverId, 'server id'), data);
      return create(WriteConsoleResponseSchema);
    },
    display: (requests) => displayData(driver, requests),

    readLogs: async ({ words, serverId }) => {
      const logs = await readLogs(words, serverId === '' ? '' : idFromWire(serverId, 'server id'));
      return create(ReadLogsResponseSchema, {
        logs: logs.map(({ name, excerpt }) => ({ name, lines: [...excerpt.lines], cut: excerpt.cut })),
      });
    },

    measureDirty: async ({ serverId, maxAgeMs, maxWaitMs }) => {
      const report = await driver.measureDirty(
        idFromWire(serverId, 'server id'),
        numberFromWire(maxAgeMs, 'max_age_ms'),
        numberFromWire(maxWaitMs, 'max_wait_ms'),
      );
      return create(
        MeasureDirtyResponseSchema,
        report === null
          ? { measured: false }
          : {
              measured: true,
              usedBytes: BigInt(report.usedBytes),
              points: report.points.map(({ windowMs, bytes }) => ({ windowMs, bytes: BigInt(Math.round(bytes)) })),
              ageMs: report.ageMs,
            },
      );
    },

    prepareIncoming: async ({ grant, guest, policy, source }) =>
      readyToWire(
        await driver.prepareIncoming(grantFromWire(grant), guestFromWire(guest), policyFromWire(policy), peerFromWire(source, 'source')),
      ),
    startOutgoing: async ({ grant, ready, policy, destination }) =>
      migrationReportToWire(
        await driver.startOutgoing(
          grantFromWire(grant),
          readyFromWire(ready),
          policyFromWire(policy),
          peerFromWire(destination, 'destination'),
        ),
      ),
    getMigration: ({ migrationId }) => migrationReportToWire(findMigration(driver, idFromWire(migrationId, 'migration id'))),
    awaitMigration: async ({ migrationId, knownState, waitMs }, { signal }) =>
      migrationReportToWire(
        await awaitMigration(driver, idFromWire(migrationId, 'migration id'), knownState, numberFromWire(waitMs, 'wait_ms'), signal),
      ),
    setMigrationPolicy: async ({ custody, migrationId, policy }) =>
      migrationReportToWire(
        await driver.setMigrationPolicy(authorityFromWire(custody), idFromWire(migrationId, 'migration id'), policyFromWire(policy)),
      ),
    cancelOutgoing: async ({ grant }) => migrationReportToWire(await driver.cancelOutgoing(grantFromWire(grant))),
    resumeOutgoing: async ({ grant }) => migrationReportToWire(await driver.resumeOutgoing(grantFromWire(grant))),
    forfeitIncoming: async ({ grant, deleteDisks, guest }) => {
      const { answer, detail } = await driver.forfeitIncoming(grantFromWire(grant), deleteDisks, optionalGuest(guest));
      return create(ForfeitIncomingResponseSchema, { answer: takeAnswerToWire(answer), detail });
    },
    relayRelease: async ({ release }) => migrationReportToWire(await driver.relayRelease(releaseFromWire(release))),
    finishIncoming: async ({ custody, migrationId }) =>
      migrationReportToWire(await driver.finishIncoming(authorityFromWire(custody), idFromWire(migrationId, 'migration id'))),
    syncGuestTime: async ({ custody }) => guestTimeToWire(await driver.syncGuestTime(authorityFromWire(custody))),
    offerDisks: async ({ custody, migrationId, destinationHostId, guest }) =>
      create(OfferDisksResponseSchema, {
        totalBytes: BigInt(
          await driver.offerDisks(
            authorityFromWire(custody),
            idFromWire(migrationId, 'migration id'),
            idFromWire(destinationHostId, 'destination host id'),
            guestFromWire(guest),
          ),
        ),
      }),
    fetchDisks: (request) => fetching(driver, request),
    snapshotDisk: (request, { signal }) => snapshotChunks(driver, request, signal),
    dropOutgoing: async ({ custody, migrationId, deleteDisks, guest }) =>
      create(DestroyGuestResponseSchema, {
        existed: await driver.dropOutgoing(
          authorityFromWire(custody),
          idFromWire(migrationId, 'migration id'),
          deleteDisks,
          optionalGuest(guest),
        ),
      }),
  };
}
