import type { HostFacts } from './host.ts';

/** How a move sends memory: in one stream, over several channels (QEMU's multifd), or over these with each page compressed by zstd. */
export const memoryStreams = ['single', 'multifd', 'zstd'] as const;
export type MemoryStream = (typeof memoryStreams)[number];

/** Of every stream but `single`. Two: measured on two cores, four were no faster. */
export const multifdChannels = 2;

/**
 * The self-test's feature that proves each stream on a host, its agent's part included: an agent that knows of one stream only tries other features. Null: nothing has to be proven beyond that the
 * host moves guests at all.
 */
export const streamProof = {
  single: null,
  multifd: 'multifd stream',
  zstd: 'zstd stream',
} as const satisfies Readonly<Record<MemoryStream, string | null>>;

/** What a record says of it. */
export type StreamRecord = ChosenStream & { readonly asked: MemoryStream };

/** The stream that a move uses, and why it is not the one that was asked for; empty: it is. */
export type ChosenStream = { readonly used: MemoryStream; readonly why: string };

/** What is known of one end of a move. */
export type StreamEnd = { readonly host: string; readonly facts: Pick<HostFacts, 'qemuVersion' | 'selfTest'> };

export type WantedStream = {
  readonly asked: MemoryStream;
  readonly copiesDisks: boolean;
  readonly source: StreamEnd;
  readonly destination: StreamEnd;
  /** Of the guest's own QEMU, which may be older than what is installed since; null: not known. */
  readonly guestQemuVersion: string | null;
};

/**
 * The stream asked for, if both hosts have proven it and nothing stands against it; else `single`, with the reason in one sentence. Both ends have to send and take the same, so it is decided
 * before either is set up.
 */
export function chooseStream({ asked, copiesDisks, source, destination, guestQemuVersion }: WantedStream): ChosenStream {
  if (asked === 'single') return { used: 'single', why: '' };
  if (copiesDisks) return { used: 'single', why: oneStreamBesideDisks };
  for (const end of [source, destination]) {
    const lacking = lacks(asked, end.facts.selfTest);
    if (lacking !== null) return { used: 'single', why: `${end.host} does not do ${asked}: ${lacking}` };
  }
  if (guestQemuVersion !== null && guestQemuVersion !== source.facts.qemuVersion)
    return {
      used: 'single',
      why: `The guest runs under QEMU ${guestQemuVersion}, and ${source.host} has proven ${asked} with QEMU ${source.facts.qemuVersion} only.`,
    };
  return { used: asked, why: '' };
}

/** Disks need QEMU's pause before the switchover, in which several channels can hang a source (agent/src/qemu/forbidden.ts, multifd-paused). */
export const oneStreamBesideDisks = 'Its local disks are copied too: beside them memory goes in one stream.';

/** Why a host does not do this stream, by its self-test; null: it does. */
export function lacks(stream: MemoryStream, selfTest: HostFacts['selfTest']): string | null {
  const proof = streamProof[stream];
  if (proof === null) return null;
  const result = selfTest.find(({ feature }) => feature === proof);
  if (result === undefined) return 'its self-test has not shown it.';
  return result.works ? null : `its self-test says: ${result.detail}`;
}

export const isMemoryStream = (value: unknown): value is MemoryStream => memoryStreams.some((one) => one === value);
