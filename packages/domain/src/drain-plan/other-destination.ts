/** What an item of a run says when it is begun towards another host than the plan proposed: nothing has gone there yet. */
export const otherDestination = (planned: string, taken: string, because: string): string =>
  `planned ${planned}, going to ${taken}, because ${because}`;

/** The same once the move has ended: it went there, or did not. Any other sentence, and none, stays as it is. */
export const settledDestination = (note: string | null, arrived: boolean): string | null =>
  note?.replace(/^(planned .*?), going to /, arrived ? '$1, went to ' : '$1, was to go to ') ?? null;
