import { type JsonObject, numberAt, objectAt, textAt } from './json.ts';

/** What a move's progress is on one line; `stage` changes when a plain log should get a new line. */
export interface ProgressLine {
  readonly text: string;
  readonly stage: string;
}

/** One line for where a migration stands: phase, per cent, rates, the time left as a range. */
export function progressLine(record: JsonObject): ProgressLine {
  const phase = textAt(record, 'phase');
  const parts = [`${textAt(record, 'serverName') || textAt(record, 'serverId')}: ${phase}`];
  const position = numberAt(record, 'queuePosition');
  if (phase === 'queued' && position !== null) parts.push(`position ${position}`);
  const [memory, disk] = [objectAt(record, 'memory'), objectAt(record, 'disk')];
  const total = (numberAt(memory, 'totalBytes') ?? 0) + (numberAt(disk, 'totalBytes') ?? 0);
  const left = (numberAt(memory, 'remainingBytes') ?? 0) + (numberAt(disk, 'remainingBytes') ?? 0);
  let percent: number | null = null;
  // Before the first sample nothing is known: no copy begins with everything copied.
  const known = left > 0 || (numberAt(memory, 'processedBytes') ?? 0) + (numberAt(disk, 'processedBytes') ?? 0) > 0;
  if (phase === 'copying' && total > 0 && known) {
    percent = Math.floor((100 * (total - Math.min(left, total))) / total);
    parts.push(`${percent} %`);
    const measures = objectAt(record, 'measures');
    const rate = numberAt(measures, 'throughputBytesPerSecond');
    const dirty = numberAt(measures, 'dirtyRateBytesPerSecond');
    if (rate !== null) parts.push(`${mebibytes(rate)} MiB/s`);
    if (dirty !== null) parts.push(`dirty ${mebibytes(dirty)} MiB/s`);
    parts.push(timeLeft(left, rate, dirty));
  }
  // A plain log gets a line per phase, and per tenth of a copy.
  return { text: parts.join('  '), stage: percent === null ? phase : `${phase} ${Math.floor(percent / 10)}` };
}

/** From nothing more being written to the guest writing on as it does now. */
function timeLeft(leftBytes: number, rate: number | null, dirty: number | null): string {
  if (rate === null || rate <= 0) return 'ETA unknown';
  const soonest = leftBytes / rate;
  const net = rate - (dirty ?? 0);
  if (net <= 0) return 'ETA unknown: it writes faster than the copy';
  const latest = leftBytes / net;
  return Math.round(soonest) === Math.round(latest) ? `ETA ${seconds(soonest)} s` : `ETA ${seconds(soonest)}–${seconds(latest)} s`;
}

const seconds = (value: number): string => String(Math.max(0, Math.round(value)));
const mebibytes = (bytes: number): string => (bytes / 1_048_576).toFixed(bytes < 10_485_760 ? 1 : 0);

/** How a migration ended, in one sentence; null while it has not. */
export function migrationEnd(record: JsonObject): { readonly asAsked: boolean; readonly sentence: string } | null {
  const status = textAt(record, 'status');
  const server = textAt(record, 'serverName') || textAt(record, 'serverId');
  const destination = textAt(objectAt(record, 'destination'), 'name');
  const measures = objectAt(record, 'measures');
  switch (status) {
    case 'completed': {
      const blackout = numberAt(measures, 'blackoutMs');
      const error = numberAt(measures, 'clockErrorMs');
      const gap =
        blackout === null ? '' : ` after a blackout of ${blackout.toFixed(0)} ms${error === null ? '' : ` (± ${error.toFixed(1)} ms)`}`;
      return { asAsked: true, sentence: `${server} runs on ${destination}${gap}.` };
    }
    case 'finished':
      return {
        asAsked: true,
        sentence: `${server} is on ${destination}, VERIFY_RESIZE: \`godwit server migration confirm\` or \`revert\` it.`,
      };
    case 'confirmed':
      return { asAsked: true, sentence: `${server} is on ${destination}, confirmed.` };
    case 'failed':
    case 'error':
    case 'cancelled':
    case 'reverted': {
      const outcome = objectAt(record, 'outcome');
      const where = textAt(outcome, 'runsOn');
      const guest = where === 'source' || where === 'destination' ? ` The guest runs on ${textAt(objectAt(record, where), 'name')}.` : '';
      const cause = textAt(outcome, 'cause');
      const why = [cause, textAt(outcome, 'sentence')].filter((each) => each !== '').join(': ');
      return { asAsked: false, sentence: `${server}: migration ${status}. ${why}${guest}` };
    }
    default:
      return null;
  }
}
