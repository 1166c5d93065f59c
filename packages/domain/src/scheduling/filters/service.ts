import { type Filter, type Rejection, text } from '../filter.ts';

const forcedDown: Rejection = { filter: 'service', code: 'ForcedDown', data: {} };
const unreachable: Rejection = { filter: 'service', code: 'Unreachable', data: {} };
const disabledWithoutReason: Rejection = { filter: 'service', code: 'Disabled', data: { reason: '' } };

/** The host's compute service is up and enabled. Down comes first: it explains more than disabled does. */
export const service: Filter = {
  name: 'service',
  prepare: () => (host) => {
    if (host.forcedDown) return forcedDown;
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
      case 'Unreachable':
        return { sentence: 'down: its agent does not answer', smallestChange: 'bring its agent back' };
      default: {
        const reason = text(rejection, 'reason');
        return { sentence: reason === '' ? 'disabled' : `disabled: ${reason}`, smallestChange: 'enable its compute service' };
      }
    }
  },
};
