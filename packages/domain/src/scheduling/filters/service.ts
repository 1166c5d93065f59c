import { type Filter, type Rejection, text } from '../filter.ts';

const forcedDown: Rejection = { filter: 'service', code: 'ForcedDown', data: {} };
const fenced: Rejection = { filter: 'service', code: 'Fenced', data: {} };
const unreachable: Rejection = { filter: 'service', code: 'Unreachable', data: {} };
const disabledWithoutReason: Rejection = { filter: 'service', code: 'Disabled', data: { reason: '' } };

/** The host's compute service is up and enabled. Down comes first: it explains more than disabled does. */
export const service: Filter = {
  name: 'service',
  prepare: () => (host) => {
    if (host.forcedDown) return forcedDown;
    if (host.fenced === true) return fenced;
    if (!host.reachable) return unreachable;
    if (host.enabled) return null;
    return host.disabledReason === null
      ? disabledWithoutReason
      : { filter: 'service', code: 'Disabled', data: { reason: host.disabledReason } };
  },
  describe: (rejection) => {
    switch (rejection.code) {
      case 'ForcedDown':
        return { sentence: 'down: forced down by an operator', smallestChange: 'unset forced-down on its compute service' };
      case 'Fenced':
        return { sentence: 'fenced by an operator', smallestChange: 'let it come back and be compared with the database' };
      case 'Unreachable':
        return { sentence: 'down: its agent does not answer', smallestChange: 'bring its agent back' };
      default: {
        const reason = text(rejection, 'reason');
        return { sentence: reason === '' ? 'disabled' : `disabled: ${reason}`, smallestChange: 'enable its compute service' };
      }
    }
  },
};
