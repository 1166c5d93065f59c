import { CLOCK_WARNING_MS } from '@godwit/domain/doctor/rules';
import { foreignText } from '@godwit/domain/foreign-text';
import { type GuestTime, guestTimeOutcomes, guestTimeText, lookedAgain, noAnswer, notAsked, notSet } from '@godwit/domain/guest-time';
import { as, asEpoch, type HostId, type ServerId } from '@godwit/domain/ids';
import type { TimelineEntry } from '@godwit/domain/migration';
import { sql } from 'kysely';
import { agentFailure } from '../../agents/agent-error.ts';
import type { AgentClient } from '../../agents/agents.ts';
import { readCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, Fenced, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';

/** The host's agent gives the one inside the guest five seconds, and asks the kernel of its own clock before. */
const RPC_TIMEOUT_MS = 10_000;
const RETRY_MS = 500;
const PATIENCE_MS = 15_000;
/** An order without an answer is carried out within this, or when the guest is looked at again; so often. */
const LATE_MS = 30_000;
const LATE_LOOKS = 2;
/** Runs of one workflow: what its guest or the database makes fail every time is not tried for ever. */
const MOST_RUNS = 8;

/** Of custody: true of the host at that moment, and none of the guest's. */
const passing: ReadonlySet<string> = new Set(['custody-migrating', 'custody-not-stopped', 'custody-busy', 'custody-suspending']);

type Asked = Pick<Move, 'server_id' | 'source_host_id' | 'destination_host_id' | 'epoch_to' | 'measures'>;

/**
 * After a move whose record is terminal, of a guest with a channel for the QEMU guest agent: its clock is set by its host's, and the record says what it was, what it is, or why nobody knows. Nothing
 * of the move depends on it; doing it twice is harmless. Ends after MOST_RUNS whatever fails. Throws Fenced where an operation of the server was begun later: the next run's fence is newer.
 */
export async function syncGuestTime(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const last = run.attempt + 1 >= MOST_RUNS;
  try {
    const move = await context.db
      .selectFrom('migration')
      .select(['server_id', 'source_host_id', 'destination_host_id', 'epoch_to', 'measures', 'finished_at'])
      .where('id', '=', run.subjectId)
      .executeTakeFirst();
    if (move === undefined || move.finished_at === null || move.measures?.guestTime !== undefined) return;
    await record(context, run, last ? notAsked(`given up in the ${MOST_RUNS}th attempt`) : await learn(context, run, move));
  } catch (error) {
    if (!last) throw error;
    context.log.error({ err: error, migration: run.subjectId }, "the record of a move does not say what became of its guest's clock");
  }
}

async function record(context: WorkflowContext, run: WorkflowRun, guestTime: GuestTime): Promise<void> {
  const entry: TimelineEntry = { at: Date.now(), clock: 'controller', what: 'guest clock', detail: guestTimeText(guestTime) };
  await context.db
    .updateTable('migration')
    .set({
      measures: sql`coalesce(measures, '{}') || ${JSON.stringify({ guestTime })}::jsonb`,
      timeline: sql`timeline || ${JSON.stringify([entry])}::jsonb`,
    })
    .where('id', '=', run.subjectId)
    .where(sql<boolean>`measures -> 'guestTime' is null`)
    .execute();
}

/** What there is to say; where an order had no answer, after one more look, or two. */
async function learn(context: WorkflowContext, run: WorkflowRun, move: Asked): Promise<GuestTime> {
  let told = await askDestination(context, run, move);
  for (let look = 0; told.outcome === 'unsure' && look < LATE_LOOKS; look += 1) {
    await run.pause(LATE_MS);
    told = lookedAgain(told, await askDestination(context, run, move));
  }
  return told;
}

async function askDestination(context: WorkflowContext, run: WorkflowRun, move: Asked): Promise<GuestTime> {
  const serverId = as<ServerId>(move.server_id);
  const destination = as<HostId>(move.destination_host_id ?? '');
  const epoch = move.epoch_to;
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind !== 'host' || holder.hostId !== destination || holder.epoch !== epoch)
      return notAsked('the guest does not run there any more');
    try {
      const client = await context.agents.client(destination);
      const doubt = hostsApart(move) ?? (await farFromOurs(client, run));
      if (doubt !== null) return notSet(doubt);
      const { outcome, driftBeforeMs, driftAfterMs, errorMs, detail } = await client.syncGuestTime(
        { custody: wireCustody(serverId, asEpoch(epoch), run.fence), requestId: run.id },
        { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
      );
      const known = guestTimeOutcomes.find((one) => one === outcome);
      if (known === undefined)
        return noAnswer(`the host's agent answers ${foreignText(JSON.stringify(outcome), 40)}, which this controller does not know`);
      return {
        outcome: known,
        driftBeforeMs: figure(driftBeforeMs),
        driftAfterMs: figure(driftAfterMs),
        errorMs: figure(errorMs),
        // The host's agent has seen to it; one that is older has not, nor one that is not what it seems.
        detail: foreignText(detail),
      };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.code === 'custody-fence-low') throw new Fenced(`server ${serverId}`);
      const said = foreignText(`${failure.code}: ${failure.message}`);
      const again = failure.kind === 'unreachable' || passing.has(failure.code);
      if (again && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      return failure.kind === 'refused' || passing.has(failure.code) ? notAsked(`its host refused: ${said}`) : noAnswer(said);
    }
  }
}

const figure = (told: number | undefined): number | null => (told !== undefined && Number.isFinite(told) ? told : null);

/** The two hosts' clocks, as the move has measured them. One of the two is wrong, and nobody knows which: null when they agree. */
function hostsApart({ measures }: Asked): string | null {
  const { hostClockOffsetMs: offset, clockErrorMs: error } = measures ?? {};
  if (offset === undefined || offset === null || Math.abs(offset) - (error ?? 0) <= CLOCK_WARNING_MS) return null;
  return `the clocks of source and destination are ${Math.round(Math.abs(offset))} ms apart, and no guest is set by either`;
}

/** The destination's clock against ours: null when they agree, as far as the way there and back lets one tell. */
async function farFromOurs(client: AgentClient, run: WorkflowRun): Promise<string | null> {
  const before = Date.now();
  const { nowMs } = await client.getHost({ bootOnly: true }, { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal });
  const after = Date.now();
  const offset = nowMs - (before + after) / 2;
  if (Math.abs(offset) - (after - before) / 2 - 1 <= CLOCK_WARNING_MS) return null;
  return `the clocks of the destination and the controller are ${Math.round(Math.abs(offset))} ms apart, and no guest is set by either`;
}
