import type { IncomingReady } from '@godwit/contract/gen/migration_pb';
import { type ChosenStream, isMemoryStream, type MemoryStream, type StreamRecord } from '@godwit/domain/memory-stream';
import type { MigrationPhase } from '@godwit/domain/migration';

/** The destination has the last word: it takes what it says, and the source sends that. */
export function streamRecord(
  asked: MemoryStream,
  wanted: ChosenStream,
  ready: Pick<IncomingReady, 'memoryStream' | 'memoryStreamWhy'>,
): StreamRecord {
  const used = isMemoryStream(ready.memoryStream) ? ready.memoryStream : 'single';
  if (used === asked) return { asked, used, why: '' };
  if (used === wanted.used) return { asked, used, why: wanted.why };
  if (ready.memoryStreamWhy !== '') return { asked, used, why: ready.memoryStreamWhy };
  return {
    asked,
    used,
    why: ready.memoryStream === '' ? "The destination's agent knows of one stream only." : preparedBefore(used),
  };
}

/** An order that is repeated finds what the first one has made. */
const preparedBefore = (used: MemoryStream): string =>
  `The destination had been prepared for ${used === 'single' ? 'one stream' : used} before, which is not done twice.`;

/** Whether it is too late to ask for another stream: from the grant on the destination may be preparing for one. */
export const streamDecided = (move: {
  readonly phase: MigrationPhase;
  readonly epoch_to: number | null;
  readonly memory_stream: StreamRecord | null;
}): boolean => move.memory_stream !== null || (move.epoch_to !== null && !beforeGrant.has(move.phase));

/** Here a number is that of an earlier attempt, at a host that could not take the move. */
const beforeGrant: ReadonlySet<MigrationPhase> = new Set(['queued', 'scheduling']);
