import { isMemoryStream, type MemoryStream, memoryStreams } from '../memory-stream.ts';

/** What an operator is willing to pay for a move. Durations in milliseconds. */
export type ConvergencePolicy = {
  /** Source STOP to destination RESUME. Exceeded only where `whenNotConverging` is `pause`, or after a forced completion. */
  readonly largestBlackoutMs: number;
  /** Of copying: by then the guest has been stopped for the last time, or the move was given up. */
  readonly deadlineMs: number;
  /** The most of the guest's CPU time that may be taken away, percent; 0: none. */
  readonly slowDownPercent: number;
  /** Never true: nobody may ask for it (`postCopyRefusal`). */
  readonly postCopyAllowed: boolean;
  /** When nothing that is allowed makes it converge: stop the guest for as long as the rest takes, or leave it where it is. */
  readonly whenNotConverging: 'give-up' | 'pause';
  /** How memory is sent, where both hosts can; decided before the copy begins. */
  readonly memoryStream: MemoryStream;
};

export type PolicyField = keyof ConvergencePolicy;

export type FieldRule<Value> = {
  /** Key of the flavor's extra specs. */
  readonly extraSpec: string;
  readonly default: Value;
  /** What is allowed, in words: the end of the refusal's sentence. */
  readonly allowed: string;
  /** Null: not a value of this field. Texts are of extra specs, other values of JSON. */
  readonly parse: (value: unknown) => Value | null;
  /** A value that is one of these words, in JSON too. */
  readonly words?: readonly Value[];
  /** Why a value that can be read is not taken; null: it is. Absent: all are. */
  readonly refusal?: (value: unknown) => PolicyRefusal | null;
};

/** A refusal that is not about how a value is written. */
export type PolicyRefusal = { readonly code: 'PostCopyUnsafe'; readonly sentence: string };

/** Why nobody may ask for post-copy. Source: agent/src/custody/conformance/postcopy-behaviours.ts (QEMU 10.0.2). */
export const postCopyRefusal: PolicyRefusal = {
  code: 'PostCopyUnsafe',
  sentence:
    'Post-copy is off: when its link breaks near the end, QEMU lets the source run on by itself beside the guest at the destination.',
};

const whole = (min: number, max: number) => (value: unknown) => {
  const number = typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : null;
};
const integer = (extraSpec: string, preset: number, min: number, max: number): FieldRule<number> => ({
  extraSpec,
  default: preset,
  allowed: `a whole number from ${min} to ${max}`,
  parse: whole(min, max),
});

/**
 * THE table of policies: fields, bounds, defaults, and how a flavor spells them. The smallest blackout is a stop and a start without memory to send, with some room;
 * the default deadline lets 1 TiB through a 10 Gbit/s link.
 */
export const policyFields: { readonly [Field in PolicyField]: FieldRule<ConvergencePolicy[Field]> } = {
  largestBlackoutMs: integer('godwit:largest_blackout_ms', 500, 50, 600_000),
  deadlineMs: integer('godwit:deadline_ms', 1_800_000, 1_000, 86_400_000),
  slowDownPercent: integer('godwit:slow_down_percent', 0, 0, 99),
  postCopyAllowed: {
    extraSpec: 'godwit:post_copy_allowed',
    default: false,
    allowed: 'false: post-copy is off',
    parse: (value) => (value === true || value === 'true' ? true : value === false || value === 'false' ? false : null),
    refusal: (value) => (value === true ? postCopyRefusal : null),
  },
  whenNotConverging: {
    extraSpec: 'godwit:when_not_converging',
    default: 'give-up',
    allowed: 'give-up or pause',
    parse: (value) => (value === 'give-up' || value === 'pause' ? value : null),
    words: ['give-up', 'pause'],
  },
  memoryStream: {
    extraSpec: 'godwit:memory_stream',
    default: 'single',
    allowed: 'single, multifd or zstd',
    parse: (value) => (isMemoryStream(value) ? value : null),
    words: memoryStreams,
  },
};

export const policyFieldNames = Object.keys(policyFields) as readonly PolicyField[];

export const defaultPolicy: ConvergencePolicy = {
  largestBlackoutMs: policyFields.largestBlackoutMs.default,
  deadlineMs: policyFields.deadlineMs.default,
  slowDownPercent: policyFields.slowDownPercent.default,
  postCopyAllowed: policyFields.postCopyAllowed.default,
  whenNotConverging: policyFields.whenNotConverging.default,
  memoryStream: policyFields.memoryStream.default,
};
