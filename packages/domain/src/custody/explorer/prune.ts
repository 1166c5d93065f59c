/**
 * Forgets messages that can change nothing any more, so that worlds that differ only in them are one. Each case below is an argument from the rules;
 * therefore pruning is off when a rule is, and a test compares the results with and without it.
 */
import type { HostCustody } from '../host-custody.ts';
import { replayed } from '../recover.ts';
import type { Interner } from './interner.ts';
import { hostAt } from './turn.ts';
import { HOSTS, type Host, type Message, type World } from './world.ts';

export function pruned(before: World, messages: Interner<Message>): World {
  const world = before.faults === 0 ? undying(before) : before;
  // A restored row may bring any old epoch back.
  if (world.backup !== null || world.row.operation?.kind === 'recovery' || world.row.behind) return world;
  const net = world.net.filter((id) => {
    const message = messages.valueOf(id);
    return message.to === 'controller' ? answerMatters(world, message) : orderMatters(world, hostAt(world, message.host), message);
  });
  return net.length === world.net.length ? world : { ...world, net };
}

/** Once no agent can die any more, journals are never read again, nor can anything be forgotten. */
function undying(world: World): World {
  const hosts = world.hosts.map((host): Host => {
    const { machine, durable, unsynced, promised } = host;
    if (machine === null) return unsynced.length === 0 ? host : { ...host, durable: unsynced.reduce(replayed, durable), unsynced: [] };
    const same = unsynced.length === 0 && durable === machine && promised.granted === 0 && promised.fence === 0;
    return same ? host : { ...host, durable: machine, unsynced: [], promised: { ...promised, granted: 0, fence: 0 } };
  });
  return hosts.every((host, index) => host === world.hosts[index]) ? world : { ...world, hosts };
}

/** Steps only go forwards; an answer awaited in one of these is never awaited again after the last of them. */
const awaited: Readonly<Record<string, readonly string[]>> = {
  granted: ['granting'],
  armed: ['granting', 'arming'],
  released: ['granting', 'arming', 'copying', 'disarming'],
  disarmed: ['granting', 'arming', 'copying', 'disarming'],
  ended: ['granting', 'launching', 'arming', 'copying', 'releasing'],
};

/** An answer about an epoch matters while that epoch is being decided on, or holds. Epochs are never reused. */
function answerMatters({ row }: World, { from, message }: Extract<Message, { to: 'controller' }>): boolean {
  const { operation, holder } = row;
  const current = operation?.kind === 'move' || operation?.kind === 'start' ? operation.grant.epoch : 0;
  const held = holder.kind === 'host' && holder.hostId === HOSTS[from] ? holder.epoch : 0;
  const steps = awaited[message.kind];
  const late = steps !== undefined && (operation?.kind === 'move' || operation?.kind === 'start') && !steps.includes(operation.step);
  switch (message.kind) {
    case 'done':
      return false;
    case 'refused':
      return message.refusal.code === 'custody-epoch-not-newer' && row.remains.some(({ hostId }) => hostId === HOSTS[from]);
    case 'destroyed':
      return operation?.kind === 'destroy' || row.remains.some(({ hostId, below }) => hostId === HOSTS[from] && below <= message.epoch);
    case 'report':
      // Fresh reports can be had at any time; an old one differs only in what it says about the epoch that holds, or a copy since destroyed.
      return (held > 0 && message.knownEpoch >= held) || message.copy.kind !== 'none';
    case 'released':
      return message.release.epoch === current && !late;
    case 'resumed':
      return message.forfeited === current;
    case 'ended':
      return (message.epoch === current && !late) || message.epoch === held;
    default:
      return message.epoch === current && !late;
  }
}

/** An order matters unless the host will refuse it whatever happens, or would only repeat an answer that no longer matters. */
function orderMatters(world: World, host: Host, message: Extract<Message, { to: 'host' }>): boolean {
  const { machine } = host;
  if (machine === null) return true;
  if ('command' in message && message.command.fence > machine.fence) return true;
  const epoch = epochOf(message);
  const { operation, holder, remains } = world.row;
  const current = operation?.kind === 'move' || operation?.kind === 'start' ? operation.grant.epoch : 0;
  if (epoch === current && operation !== null && 'step' in operation && 'command' in message)
    return currentOrderMatters(operation.step, machine, message.command.kind, epoch);
  if (epoch === current || (holder.kind === 'host' && holder.epoch === epoch)) return true;
  if ('command' in message && message.command.kind === 'destroy')
    return (
      machine.refusedThrough < epoch - 1 ||
      operation?.kind === 'destroy' ||
      remains.some(({ hostId }) => hostId === machine.hostId) ||
      (machine.copy.kind !== 'none' && machine.copy.grant.epoch < epoch)
    );
  // Only what a power loss cannot take counts as known; and nothing that is about this epoch may be left here.
  return host.durable.knownEpoch < epoch || touches(machine, epoch) || touches(host.durable, epoch);
}

/** Of the operation that is under way: orders whose work is done, and whose answer is not awaited any more. */
function currentOrderMatters(step: string, machine: HostCustody, kind: string, epoch: number): boolean {
  const known = machine.knownEpoch >= epoch;
  const { copy } = machine;
  const outgoing = copy.kind === 'held' ? copy.outgoing : null;
  switch (kind) {
    case 'grant':
      return !known || step === 'granting';
    case 'arm':
      return !known || step === 'granting' || step === 'arming';
    case 'migrate':
      return !known || (outgoing?.phase === 'armed' && outgoing.grant.epoch === epoch);
    default:
      return true;
  }
}

function touches({ copy }: HostCustody, epoch: number): boolean {
  if (copy.kind === 'none') return false;
  if (copy.grant.epoch === epoch) return true;
  if (copy.kind === 'held') return copy.outgoing?.grant.epoch === epoch;
  return copy.kind === 'released' && copy.to.epoch === epoch;
}

function epochOf(message: Extract<Message, { to: 'host' }>): number {
  if ('relay' in message) return message.relay.epoch;
  if ('peer' in message) return message.peer.kind === 'release' ? message.peer.release.epoch : message.peer.epoch;
  const { command } = message;
  switch (command.kind) {
    case 'grant':
    case 'arm':
      return command.grant.epoch;
    case 'census':
      return command.floor;
    case 'resume':
      return command.forfeited;
    default:
      return command.epoch;
  }
}
