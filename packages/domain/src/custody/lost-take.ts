import type { HostCustody } from './host-custody.ts';
import { later } from './transition.ts';

/**
 * The state with what has to be remembered of a grant that ends without a forfeit: its take may have been, and have been lost with the power. Not of a grant that names a memory: its take is durable
 * before the guest runs.
 */
export function withLostTake(state: HostCustody): HostCustody {
  const { copy, lastTaken, mayHaveTaken = lastTaken } = state;
  if (copy.kind !== 'granted' || copy.memory !== undefined) return state;
  return { ...state, mayHaveTaken: later(later(lastTaken, mayHaveTaken), copy.grant.epoch) };
}
