import { create } from '@bufbuild/protobuf';
import { type IncomingReady, IncomingReadySchema } from '@godwit/contract/gen/migration_pb';
import type { MoveOperation } from '@godwit/domain/custody/custody-row';
import type { Grant } from '@godwit/domain/custody/grant';
import { GodwitError } from '@godwit/domain/errors';
import { as, type BootId, type HostId } from '@godwit/domain/ids';
import type { Prediction } from '@godwit/domain/prediction/predict';
import { agentFailure } from '../../agents/agent-error.ts';
import { isFenced } from '../../hosts/fence-host.ts';
import type { Db } from '../../store/database.ts';
import { askBoot } from '../custody/ask-boot.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { clearRemains } from '../custody/settle.ts';
import { wireGrant } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { predictMove } from '../prediction/predict-move.ts';
import { guestToRun } from '../server/guest-to-run.ts';
import { wireGuest } from '../server/wire-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { awaitLink } from './await-link.ts';
import { causeOf } from './cause.ts';
import { giveUp } from './give-up.ts';
import { advance, type Move, writeMove } from './move.ts';
import { mayCopy } from './queue.ts';
import { recoverBefore } from './recover-before.ts';
import { streamRecord } from './stream-record.ts';
import { askedStream, type CopyTerms, copyTerms, type PeerAddress, wirePolicy } from './wire-policy.ts';

// The destination starts a QEMU, and may have to fetch an image first.
const PREPARE_TIMEOUT_MS = 300_000;
const PATIENCE_MS = 20_000;
const RETRY_MS = 250;

/** Only giving up turns a move so, and it writes first why: found here, somebody else has turned it. */
const turnedBack: ReadonlySet<MoveOperation['step']> = new Set(['disarming', 'forfeiting', 'resuming']);

/**
 * preparing → copying, or once all is prepared, the same phase waiting for the links. The grant is a compare-and-set on the server's row and is durable at the destination when this phase ends; nothing at the source has changed.
 * Undo: the destination forfeits, which destroys all that was prepared.
 */
export async function prepare(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<Move | undefined> {
  const { db } = context;
  const destination = as<HostId>(move.destination_host_id ?? '');
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    checkpoint(run);
    const row = await readCustody(db, move.serverId);
    const begun = row.operation?.kind === 'move' && row.operation.grant.migrationId === move.moveId ? row.operation : null;
    if (begun !== null && turnedBack.has(begun.step)) {
      await giveUp(context, run, move, {
        cause: 'CustodyUnknown',
        sentence: 'The database was restored, or another one took over, and what the hosts then said of the server has ended the move.',
        phase: 'failed',
        evidence: [],
      });
      return;
    }
    let grant = begun?.grant ?? null;
    let asked = move;
    if (grant !== null && move.incoming_ready !== null) return awaitLink(context, run, move);
    const recovering = row.behind || row.operation?.kind === 'recovery';
    if (grant === null && !recovering && row.remains.some((one) => one.hostId === destination)) {
      // What an earlier move left there comes first: a host has one copy of a server.
      const left = (await clearRemains(context, run, move.serverId)).find(({ hostId }) => hostId === destination);
      if (left === undefined) continue;
      if (Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await giveUp(context, run, move, {
        cause: left.failure.kind === 'unreachable' ? 'DestinationDown' : 'PrepareFailed',
        sentence: `The destination has not yet cleared what an earlier move left there${
          left.failure.kind === 'unreachable' ? ', and does not answer.' : `: ${left.failure.message}`
        }`,
        phase: 'failed',
        elsewhere: true,
        evidence: [`${left.failure.code}: ${left.failure.message}`],
      });
      return;
    }
    if (grant === null && recovering) {
      const found = await recoverBefore(context, run, move);
      if (found === 'as it was') continue;
      if (found === 'unknown' && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await giveUp(context, run, move, {
        cause: 'CustodyUnknown',
        sentence:
          found === 'unknown'
            ? 'The database was restored, or another one took over, and not every host has yet said what it has of the server.'
            : 'The database was restored, or another one took over, and the guest is not where the move began.',
        phase: 'failed',
        evidence: [],
      });
      return;
    }
    if (grant === null && (await isFenced(db, destination))) {
      // It may just have come back, and be compared.
      if (Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await giveUp(context, run, move, {
        cause: 'DestinationDown',
        sentence: 'The destination is fenced.',
        phase: 'failed',
        elsewhere: true,
        evidence: [],
      });
      return;
    }
    try {
      const client = await context.agents.client(destination);
      if (grant === null) {
        // Its word, not the row's: a host that has just booted again is in the row as it was until the watcher has reached it, and no grant for the boot before can be taken.
        const made = await begin(context, run, move, destination, await askBoot(context, destination, run.signal));
        if ('refused' in made) {
          await giveUp(context, run, move, {
            cause: 'CustodyUnknown',
            sentence: `The server's custody does not allow a move now: ${made.refused}`,
            phase: 'failed',
            evidence: [],
          });
          return;
        }
        grant = made.grant;
        asked = { ...move, policy: made.policy };
        await context.faultPoint('preparing:granted');
      }
      const [wanted, terms] = await Promise.all([wireGuest(db, move.serverId, 'running'), copyTerms(db, asked)]);
      const guest = await guestToRun(db, wanted, destination);
      // Behind the destination's preparations: it costs the move no time.
      const predicting = predicted(context, run, asked, Number(guest.ramMib + guest.addedRamMib), terms);
      const policy = wirePolicy(context, asked, terms);
      const ready = await client.prepareIncoming(
        { grant: wireGrant(grant, run.fence), guest, policy, source: terms.source, requestId: run.id },
        { timeoutMs: PREPARE_TIMEOUT_MS, signal: run.signal },
      );
      await context.faultPoint('preparing:answered');
      const prediction = await predicting;
      const epoch = grant.epoch;
      return await db.transaction().execute(async (tx): Promise<Move | undefined> => {
        await stepCustody(tx, move.serverId, run.fence, [{ kind: 'heard', from: destination, message: { kind: 'granted', epoch } }]);
        const values = {
          incoming_ready: JSON.stringify(storedReady(ready)),
          memory_stream: JSON.stringify(streamRecord(askedStream(asked), terms.stream, ready)),
          prediction: prediction === null ? null : JSON.stringify(prediction),
        };
        if (await mayCopy(tx, move.moveId, context.config.limits)) return advance(tx, run, move, 'copying', 'running', values);
        const timeline = [
          ...move.timeline,
          { at: Date.now(), clock: 'controller' as const, what: 'prepared', detail: 'waits for the link' },
        ];
        await writeMove(tx, run, move, { ...values, timeline: JSON.stringify(timeline) });
      });
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await noteRefusal(context, run, move.serverId, destination, failure);
      await giveUp(context, run, move, {
        cause: causeOf(failure, { failed: 'PrepareFailed', unreachable: 'DestinationDown' }),
        sentence:
          failure.kind === 'unreachable'
            ? 'The destination did not answer while it was to be prepared.'
            : `The destination could not be prepared: ${failure.message}`,
        phase: 'failed',
        elsewhere: true,
        evidence: [`${failure.code}: ${failure.message}`],
      });
      return;
    }
  }
}

/** The grant: a compare-and-set on the server's row, with the move's record; and the policy as it is then, which may have been changed until now. Or custody's reason why there is none. */
async function begin(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  destination: HostId,
  bootId: BootId,
): Promise<{ readonly grant: Grant; readonly policy: Move['policy'] } | { readonly refused: string }> {
  try {
    return await context.db.transaction().execute(async (tx) => {
      const { row } = await stepCustody(tx, move.serverId, run.fence, [
        {
          kind: 'beginMove',
          migrationId: move.moveId,
          destination,
          bootId,
          endState: move.previous_vm_state === 'paused' ? 'paused' : 'running',
          postCopy: false,
        },
      ]);
      if (row.operation?.kind !== 'move') throw new Error('custody began no move');
      const { grant } = row.operation;
      const written = { epoch_from: grant.previousEpoch, epoch_to: grant.epoch, grant_end_state: grant.endState };
      const { policy } = await writeMove(tx, run, move, written);
      return { grant, policy };
    });
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'CustodyRefused') return { refused: error.message };
    throw error;
  }
}

/** A guest that was not looked at of late is looked at for so long: about as long as the destination needs to prepare. */
const LOOK = { maxAgeMs: 60_000, maxWaitMs: 120 };

/** What is expected of this move, for its record. Never rejects: a prediction that cannot be made says so. */
async function predicted(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  ramMib: number,
  terms: Pick<CopyTerms, 'capBytesPerSecond' | 'stream'>,
): Promise<Prediction | null> {
  try {
    return await predictMove(
      context,
      {
        serverId: move.serverId,
        ramMib,
        source: move.source,
        destination: move.destination_host_id,
        policy: move.policy,
        capBytesPerSecond: terms.capBytesPerSecond,
        stream: terms.stream.used,
        paused: move.previous_vm_state === 'paused',
      },
      LOOK,
      run.signal,
    );
  } catch (error) {
    context.log.warn({ err: error, migration: move.moveId }, 'no prediction was made');
    return null;
  }
}

/** Where an agent finds its peer, and who that must prove to be. */
export async function peerAddress(db: Db, hostId: HostId): Promise<PeerAddress> {
  const host = await db.selectFrom('host').select(['address', 'rpc_port']).where('id', '=', hostId).executeTakeFirstOrThrow();
  return { hostId, address: host.address, rpcPort: host.rpc_port };
}

type StoredReady = {
  readonly ramAddress: string;
  readonly ramPort: number;
  readonly nbdPort: number;
  readonly overlayDiskIds: string[];
  readonly nbdPlain: boolean;
  readonly ramPlain: boolean;
  readonly machineType: string;
  readonly cpuModel: string;
  readonly preparedMs: number;
  readonly memoryStream: string;
  readonly memoryStreamWhy: string;
};

function storedReady({ $typeName: _type, $unknown: _unknown, migrationId: _migrationId, ...opened }: IncomingReady): StoredReady {
  return opened;
}

/** What the destination opened, out of the record. */
export function readyOf(move: Move): IncomingReady {
  return create(IncomingReadySchema, { migrationId: move.moveId, ...(move.incoming_ready as StoredReady) });
}
