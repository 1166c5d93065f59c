/**
 * What became of setting a guest's clock right, by the agent inside it, after a move. Drift is the guest's clock minus its host's, in milliseconds, as the guest's agent tells it; `errorMs` is how
 * wrong the last figure may be: half the round trip of its reading.
 */
export type GuestTime = {
  /**
   * `right`: it was so, as far as can be told, and nothing was changed. `set`: it is so now. `not-set`: the agent answers, and the clock is not right. `no-answer`: no agent was heard, or not as the
   * protocol has it.
   */
  readonly outcome: GuestTimeOutcome;
  readonly driftBeforeMs: number | null;
  /** Null: nothing was changed, or it was not read again. */
  readonly driftAfterMs: number | null;
  readonly errorMs: number | null;
  /** Why, in words; empty when there is nothing to say. */
  readonly detail: string;
};
export const guestTimeOutcomes = ['right', 'set', 'not-set', 'no-answer'] as const;
export type GuestTimeOutcome = (typeof guestTimeOutcomes)[number];

/** Below this nothing is changed: a guest's clock is not stepped for what its own NTP evens out, and steps backwards are worse than that. */
export const worthSettingMs = 1;
/** What has been set counts as right within this, besides the error of its reading: the order takes its time through the guest. */
export const rightWithinMs = 5;

export const noAnswer = (detail: string): GuestTime => ({
  outcome: 'no-answer',
  driftBeforeMs: null,
  driftAfterMs: null,
  errorMs: null,
  detail,
});

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
