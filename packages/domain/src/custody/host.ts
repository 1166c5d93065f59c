/** One host's custody of one server: every event, in one place. Pure; the gate executes the effects and holds one lock per server. */
import type { Epoch, Fence } from '../ids.ts';
import { forfeitOrdered, grantReceived, incomingObserved, launchOrdered, processBound, releaseReceived } from './destination.ts';
import { adopted, censusOrdered, destroyOrdered, holderObserved, powerOffOrdered, vcpusOrdered } from './holder.ts';
import type { HostCustody } from './host-custody.ts';
import type { HostCommand, HostEvent } from './host-event.ts';
import { RULES, type Rules } from './rules.ts';
import {
  armReceived,
  continueOrdered,
  disarmOrdered,
  migrateOrdered,
  postCopyReadyReceived,
  resumeOrdered,
  switchoverTimedOut,
} from './source.ts';
import { suspendAbandoned, suspendOrdered } from './suspend.ts';
import { type HostTransition, refuse } from './transition.ts';

/** What to do when `event` reaches a host in `state`. A refusal changes nothing but, at most, the fence. */
export function hostStep(state: HostCustody, event: HostEvent, rules: Rules = RULES): HostTransition {
  switch (event.kind) {
    case 'release':
      return releaseReceived(state, event.release, event.view, rules);
    case 'postCopyReady':
      return postCopyReadyReceived(state, event.epoch, event.view);
    case 'bind':
      return processBound(state, event.epoch, event.process, rules);
    case 'observed':
      return state.copy.kind === 'granted'
        ? incomingObserved(state, state.copy, event.view, rules)
        : holderObserved(state, event.view, rules);
    case 'suspendAbandoned':
      return suspendAbandoned(state, event.epoch, event.view);
    case 'switchoverTimeout':
      return switchoverTimedOut(state, event.view);
    case 'adopt':
      return adopted(state, event.view, rules);
    default: {
      if (event.fence < state.fence && rules.fenceChecked) return refuse(state, 'custody-fence-low', commandEpoch(event));
      if (event.fence <= state.fence) return obey(state, event, rules);
      const obeyed = obey({ ...state, fence: event.fence }, event, rules);
      return { state: obeyed.state, effects: [fenceNoted(event.fence), ...obeyed.effects] };
    }
  }
}

function obey(state: HostCustody, command: HostCommand, rules: Rules): HostTransition {
  switch (command.kind) {
    case 'grant':
      return grantReceived(state, command.grant, rules);
    case 'launch':
      return launchOrdered(state, command.epoch, command.view, rules);
    case 'arm':
      return armReceived(state, command.grant, command.view, rules);
    case 'migrate':
      return migrateOrdered(state, command.epoch, command.view, rules);
    case 'continue':
      return continueOrdered(state, command.epoch, command.view);
    case 'disarm':
      return disarmOrdered(state, command.epoch, command.view, rules);
    case 'forfeit':
      return forfeitOrdered(state, command.epoch, command.bootId, rules);
    case 'resume':
      return resumeOrdered(state, command.epoch, command.forfeited, command.view, rules);
    case 'destroy':
      return destroyOrdered(state, command.epoch, rules);
    case 'pause':
    case 'unpause':
    case 'reset':
    case 'powerDown':
      return vcpusOrdered(state, command.kind, command.epoch, command.view, rules);
    case 'suspend':
      return suspendOrdered(state, command.epoch, command.view);
    case 'powerOff':
      return powerOffOrdered(state, command.epoch, command.view);
    case 'census':
      return censusOrdered(state, command.floor);
  }
}

/** The epoch that a command is about, for its refusal. */
function commandEpoch(command: HostCommand): Epoch | null {
  switch (command.kind) {
    case 'grant':
    case 'arm':
      return command.grant.epoch;
    case 'census':
      return null;
    default:
      return command.epoch;
  }
}

const fenceNoted = (fence: Fence) => ({ kind: 'journal', record: { kind: 'fence', fence }, durability: 'plain' }) as const;
