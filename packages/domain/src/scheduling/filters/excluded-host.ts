import { type Filter, text } from '../filter.ts';

/** A host that failed earlier in the same operation is not tried again. */
export const excludedHost: Filter = {
  name: 'excluded-host',
  prepare: (demand) => {
    if (demand.excludedHosts.length === 0) return null;
    const reasons = new Map(demand.excludedHosts.map((host) => [host.id, host.reason]));
    return (host) => {
      const reason = reasons.get(host.id);
      return reason === undefined ? null : { filter: 'excluded-host', code: 'FailedBefore', data: { reason } };
    };
  },
  describe: (rejection) => ({
    sentence: `failed before in this operation: ${text(rejection, 'reason')}`,
    smallestChange: 'start a new operation once the cause is mended',
  }),
};
