import { asEpoch, type Epoch } from '../ids.ts';
import type { HostCustody } from './host-custody.ts';
import type { HostEffect, HostMessage } from './host-effect.ts';
import { REFUSALS, type RefusalCode } from './refusal.ts';

/** The result of one step of a host's machine: `state` holds once every effect has been executed. */
export type HostTransition = { readonly state: HostCustody; readonly effects: readonly HostEffect[] };

/** Nothing happens. */
export const stay = (state: HostCustody): HostTransition => ({ state, effects: [] });

/** Nothing changes, and the answer is given. */
export const answer = (state: HostCustody, message: HostMessage): HostTransition => ({ state, effects: [{ kind: 'tell', message }] });

/** Nothing changes, and the order is refused. */
export const refuse = (state: HostCustody, code: RefusalCode, epoch: Epoch | null): HostTransition =>
  answer(state, {
    kind: 'refused',
    refusal: { code, message: REFUSALS[code], epoch, knownEpoch: state.knownEpoch, knownFence: state.fence },
  });

export const tell = (message: HostMessage): HostEffect => ({ kind: 'tell', message });

/** Destroying under an epoch finishes every lower one; itself it may be granted to this very host. */
export const before = (epoch: Epoch): Epoch => asEpoch(epoch - 1);

export const later = (a: Epoch, b: Epoch): Epoch => (a >= b ? a : b);
