/**
 * What became of setting a guest's clock right, by the agent inside it, after a move. Drift is the guest's clock minus its host's, in milliseconds, as the guest's agent tells it; `errorMs` is how
 * wrong the last figure may be: half the round trip of its reading.
 */
export type GuestTime = {
  /**
   * `right`: it was so, as far as can be told, and nothing was changed. `set`: it is so now. `not-set`: it was left as it is, or did not become right; the detail says why. `unsure`: an order to set it
   * had no proper answer, and may still be carried out, with the time of then. `no-answer`: no agent was heard, or not as the protocol has it. `not-asked`: a host or the controller had a reason of
   * its own, and the guest was not asked.
   */
  readonly outcome: GuestTimeOutcome;
  readonly driftBeforeMs: number | null;
  /** Null: nothing was changed, or it was not read again. */
  readonly driftAfterMs: number | null;
  readonly errorMs: number | null;
  /** Why, in words, without control characters and short; empty when there is nothing to say. */
  readonly detail: string;
};
export const guestTimeOutcomes = ['right', 'set', 'not-set', 'unsure', 'no-answer', 'not-asked'] as const;
export type GuestTimeOutcome = (typeof guestTimeOutcomes)[number];

/** Behind by no more than this nothing is changed: a guest's clock is not stepped for what its own NTP evens out. */
export const worthSettingMs = 1;
/** Ahead by no more than this nothing is changed: a step backwards repeats a time that the guest has already given out, which is worse than being that much ahead. */
export const leftAheadMs = 100;
/** What has been set counts as right within this, besides the error of its reading: the order takes its time through the guest. */
export const rightWithinMs = 5;

const untold = (outcome: GuestTimeOutcome, detail: string): GuestTime => ({
  outcome,
  driftBeforeMs: null,
  driftAfterMs: null,
  errorMs: null,
  detail,
});
export const noAnswer = (detail: string): GuestTime => untold('no-answer', detail);
export const notAsked = (detail: string): GuestTime => untold('not-asked', detail);
/** Nobody's clock is good enough to set it by; `why` says what is wrong. */
export const notSet = (why: string): GuestTime => untold('not-set', why);

/** What became of a clock whose first conversation ended `unsure`, by a later one, whose agent has done first whatever it was told before. */
export function lookedAgain(first: GuestTime, later: GuestTime): GuestTime {
  if (later.outcome === 'unsure') return { ...later, driftBeforeMs: first.driftBeforeMs };
  if (later.driftBeforeMs === null) return { ...first, detail: `${first.detail}; asked again: ${guestTimeText(later)}` };
  return {
    outcome: later.outcome === 'right' ? 'set' : later.outcome,
    driftBeforeMs: first.driftBeforeMs,
    driftAfterMs: later.driftAfterMs ?? later.driftBeforeMs,
    errorMs: later.errorMs,
    detail: ['an order had no answer in time, and the clock was looked at again', ...(later.detail === '' ? [] : [later.detail])].join(
      '; ',
    ),
  };
}

/** One line for the record: "set: 517.2 ms behind before, 0.4 ms ahead (± 0.8 ms) now". */
export function guestTimeText({ outcome, driftBeforeMs, driftAfterMs, errorMs, detail }: GuestTime): string {
  const figures = [
    ...(driftBeforeMs === null ? [] : [`${drift(driftBeforeMs)}${driftAfterMs === null ? '' : ' before'}`]),
    ...(driftAfterMs === null ? [] : [`${drift(driftAfterMs)} now`]),
  ].join(', ');
  const said = [
    outcome.replace('-', ' '),
    ...(figures === '' ? [] : [`${figures}${errorMs === null ? '' : ` (± ${tenths(errorMs)} ms)`}`]),
  ];
  return [said.join(': '), ...(detail === '' ? [] : [detail])].join('; ');
}

const tenths = (ms: number): string => String(Math.round(ms * 10) / 10);
const drift = (ms: number): string => `${tenths(Math.abs(ms))} ms ${ms < 0 ? 'behind' : 'ahead'}`;
