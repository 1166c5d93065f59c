import { isObject, type Json, type JsonObject, numberAt, objectAt, objectsAt, textAt } from './json.ts';
import { type Cell, Formatted, listOfDictionaries, plainOf } from './render/cell.ts';
import { folded } from './render/table.ts';

/** No line of a cell is longer: a record is read whole, also where there is no terminal whose width would say so. */
const lineWidth = 110;
/** More hosts of one reason are counted. */
const hostsNamed = 8;
const mebibyte = 1_048_576;

/** What an operator looks for first; whatever else the record has follows by name. */
const order = [
  'id',
  'apiId',
  'serverName',
  'serverId',
  'type',
  'status',
  'phase',
  'queuePosition',
  'overdue',
  'outcome',
  'waysOut',
  'source',
  'destination',
  'requestedHost',
  'measures',
  'memory',
  'disk',
  'phaseDurationsMs',
  'timeline',
  'verdicts',
  'attempts',
  'prediction',
  'predictionScore',
  'policy',
  'memoryStream',
] as const;

/** The record's fields, whole for machines; for people in words, with no line beyond 110 characters. Fields that it does not know are shown as they are. */
export function migrationRecord(record: JsonObject): readonly (readonly [string, Cell])[] {
  const rest = Object.keys(record)
    .filter((name) => !(order as readonly string[]).includes(name))
    .toSorted();
  return [...order.filter((name) => name in record), ...rest].map((name) => {
    const value = record[name] ?? null;
    const words = value === null ? null : inWords(name, value, record);
    return [name, words === null ? value : new Formatted(value, foldedText(words))];
  });
}

/** A continued line stands a little to the right. */
const foldedText = (text: string): string =>
  text
    .split('\n')
    .flatMap((line) => folded(line, lineWidth).map((part, index) => (index === 0 ? part : `    ${part}`)))
    .join('\n');

/** Null: as it is. */
function inWords(name: string, value: Json, record: JsonObject): string | null {
  if (Array.isArray(value)) {
    if (name === 'timeline') return timelineText(objectsAt(record, name));
    if (name === 'waysOut')
      return objectsAt(record, name)
        .map((way) => textAt(way, 'sentence'))
        .join('\n');
    const parts = value as readonly Json[];
    return parts.every(isObject) ? listOfDictionaries(parts).human : parts.map(plainOf).join('\n');
  }
  if (!isObject(value)) return null;
  switch (name) {
    case 'source':
    case 'destination':
      return textAt(value, 'name') || textAt(value, 'id');
    case 'memory':
      return bytesText(value, textAt(objectAt(record, 'memoryStream'), 'used') === 'zstd' ? 'sent on the wire' : 'sent');
    case 'disk':
      return bytesText(value, 'sent');
    case 'measures':
      return measuresText(value);
    case 'phaseDurationsMs':
      return durationsText(value, objectsAt(record, 'timeline'));
    case 'outcome':
      return outcomeText(value, record);
    case 'verdicts':
      return verdictsText(value);
    case 'prediction':
      return predictionText(value);
    case 'predictionScore':
      return scoreText(value);
    case 'policy':
      return policyText(value);
    case 'memoryStream':
      return streamText(value);
    case 'overdue':
      return `${textAt(value, 'phase')} for ${milliseconds(value, 'ageMs')}, usually ${milliseconds(value, 'usualMs') || 'not known'}`;
    default:
      return listOfDictionaries([value]).human;
  }
}

const milliseconds = (value: JsonObject, key: string): string => {
  const found = numberAt(value, key);
  return found === null ? '' : `${found < 100 ? Number(found.toFixed(1)) : Math.round(found)} ms`;
};

const mebibytes = (bytes: number): string => `${(bytes / mebibyte).toFixed(bytes > 0 && bytes < 10 * mebibyte ? 1 : 0)} MiB`;

function bytesText(value: JsonObject, how: string): string {
  const [total, sent, left] = [numberAt(value, 'totalBytes'), numberAt(value, 'processedBytes'), numberAt(value, 'remainingBytes')];
  if (total === 0 && (sent ?? 0) === 0) return 'nothing to copy';
  return [
    total === null ? 'size not known yet' : mebibytes(total),
    ...(sent === null ? [] : [`${mebibytes(sent)} ${how}`]),
    ...(left === null ? [] : [`${mebibytes(left)} left`]),
  ].join(', ');
}

function measuresText(value: JsonObject): string {
  const error = milliseconds(value, 'clockErrorMs');
  const figures: readonly (readonly [string, string])[] = [
    ['blackout, STOP to RESUME', milliseconds(value, 'blackoutMs') && `${milliseconds(value, 'blackoutMs')}${error && ` ± ${error}`}`],
    ["QEMU's own downtime", milliseconds(value, 'qemuDowntimeMs')],
    ["Godwit's share of the blackout", milliseconds(value, 'ownShareMs')],
    ["QEMU's whole migration", milliseconds(value, 'qemuTotalMs')],
    ['rounds', textAt(value, 'rounds')],
    ['the guest wrote', rateText(value, 'dirtyRateBytesPerSecond')],
    ['sent at', memoryRateText(value, 'throughputBytesPerSecond')],
    ['the link carried', memoryRateText(value, 'linkBytesPerSecond')],
    ['memory per byte on the wire', compressionText(value)],
    ["the guest's clock", clockText(objectAt(value, 'guestTime'))],
  ];
  const known = figures.filter(([, figure]) => figure !== '');
  return known.length === 0 ? 'nothing measured yet' : known.map(([what, figure]) => `${what}: ${figure}`).join('\n');
}

/** As its agent told it; the timeline has it in full. */
function clockText(time: JsonObject): string {
  const off = (key: string): string => {
    const found = numberAt(time, key);
    return found === null ? '' : `${Number(Math.abs(found).toFixed(1))} ms ${found < 0 ? 'behind' : 'ahead'}`;
  };
  const parts = [
    textAt(time, 'outcome').replace('-', ' '),
    off('driftBeforeMs'),
    off('driftAfterMs') && `${off('driftAfterMs')} now`,
    textAt(time, 'detail'),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** How fast memory went: of a compressed stream it is not the link's own speed. */
function memoryRateText(value: JsonObject, key: string): string {
  const text = rateText(value, key);
  return text === '' || compressionText(value) === '' ? text : `${text} of memory, compressed`;
}

/** Of a stream that does not compress there is nothing to say. */
function compressionText(value: JsonObject): string {
  const found = numberAt(value, 'memoryPerWireByte');
  return found === null || found <= 1 ? '' : `${found} bytes`;
}

const rateText = (value: JsonObject, key: string): string => {
  const found = numberAt(value, key);
  return found === null ? '' : `${mebibytes(found)}/s`;
};

/** In the order in which the phases came. */
function durationsText(value: JsonObject, timeline: readonly JsonObject[]): string {
  const came = timeline.filter((entry) => textAt(entry, 'what') === 'phase').map((entry) => textAt(entry, 'detail'));
  const place = (phase: string): number => (came.includes(phase) ? came.indexOf(phase) : came.length);
  return Object.keys(value)
    .toSorted((a, b) => place(a) - place(b))
    .map((phase) => `${phase} ${milliseconds(value, phase)}`)
    .join(', ');
}

function outcomeText(value: JsonObject, record: JsonObject): string {
  const runsOn = textAt(value, 'runsOn');
  const cause = textAt(value, 'cause');
  const sentence = textAt(value, 'sentence');
  const evidence = Array.isArray(value.evidence) ? value.evidence.filter((each) => typeof each === 'string') : [];
  const name = textAt(objectAt(record, runsOn), 'name');
  return [
    cause === '' || sentence.startsWith(`${cause}:`) ? sentence : `${cause}: ${sentence}`,
    `runs on: ${name === '' ? runsOn : name}`,
    ...evidence,
  ].join('\n');
}

/** One line per entry: the time since the first, whose clock, what happened. */
function timelineText(entries: readonly JsonObject[]): string {
  const start = numberAt(entries[0], 'at') ?? 0;
  const times = entries.map((entry) => `+${Math.round((numberAt(entry, 'at') ?? start) - start)} ms`);
  const width = (texts: readonly string[]): number => Math.max(0, ...texts.map(({ length }) => length));
  const clocks = entries.map((entry) => textAt(entry, 'clock'));
  const [timeWidth, clockWidth] = [width(times), width(clocks)];
  return entries
    .map((entry, index) => {
      const what = [textAt(entry, 'what'), textAt(entry, 'detail')].filter((each) => each !== '').join(': ');
      return `${(times[index] ?? '').padStart(timeWidth)}  ${(clocks[index] ?? '').padEnd(clockWidth)}  ${what}`;
    })
    .join('\n');
}

/** How every host was judged: those that pass in their rank, then each reason with the hosts that it turned away. */
function verdictsText(value: JsonObject): string {
  const passing = numberAt(value, 'passing') ?? 0;
  const ranked = objectsAt(value, 'ranked').map(
    (host) => `${textAt(host, 'rank')}. ${textAt(host, 'host')}: ${Array.isArray(host.why) ? host.why.map(plainOf).join(', ') : ''}`,
  );
  const rejected = objectsAt(value, 'rejected').flatMap((reason) =>
    objectsAt(reason, 'examples').map((example) => {
      const hosts = Array.isArray(example.hosts) ? example.hosts.map(plainOf) : [];
      const more = hosts.length > hostsNamed ? ` and ${hosts.length - hostsNamed} more` : '';
      const change = textAt(example, 'smallestChange');
      return `not ${hosts.slice(0, hostsNamed).join(', ')}${more}: ${textAt(example, 'sentence')}${change === '' ? '' : ` → ${change}`}`;
    }),
  );
  return [`${passing} of ${textAt(value, 'hosts')} hosts pass. ${textAt(value, 'zoneRule')}`.trim(), ...ranked, ...rejected].join('\n');
}

function predictionText(value: JsonObject): string {
  const interval = (key: string): string => {
    const [lower, upper] = [numberAt(objectAt(value, key), 'lower'), numberAt(objectAt(value, key), 'upper')];
    return lower === null || upper === null ? '' : `${Math.round(lower)}–${Math.round(upper)} ms`;
  };
  const [duration, blackout] = [interval('durationMs'), interval('blackoutMs')];
  return [
    [textAt(value, 'verdict'), duration && `duration ${duration}`, blackout && `blackout ${blackout}`]
      .filter((each) => each !== '')
      .join(', '),
    textAt(value, 'why'),
  ]
    .filter((each) => each !== '')
    .join('\n');
}

function scoreText(value: JsonObject): string {
  const told = (name: string, inside: Json | undefined): string =>
    typeof inside === 'boolean' ? `${name} ${inside ? 'inside' : 'outside'} what was predicted` : '';
  return [told('duration', value.durationInside), told('blackout', value.blackoutInside)].filter((each) => each !== '').join(', ');
}

function streamText(value: JsonObject): string {
  const [used, asked, why] = [textAt(value, 'used'), textAt(value, 'asked'), textAt(value, 'why')];
  return used === asked ? used : `${used}, not ${asked}: ${why}`;
}

function policyText(value: JsonObject): string {
  const from = objectAt(value, 'from');
  return Object.keys(value)
    .filter((field) => field !== 'from')
    .toSorted()
    .map((field) => {
      const source = textAt(from, field);
      return `${field}: ${plainOf(value[field] ?? null)}${source === '' ? '' : ` (${source})`}`;
    })
    .join('\n');
}
