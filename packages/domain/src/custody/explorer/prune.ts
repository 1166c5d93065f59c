/**
 * Forgets messages that can change nothing any more, so that worlds that differ only in them are one. Each case below is an argument from the rules;
 * therefore pruning is off when a rule is, and a test compares the results with and without it.
 */
import type { HostCustody } from '../host-custody.ts';
import type { Interner } from './interner.ts';
import { hostAt } from './turn.ts';
import { HOSTS, type Host, type Message, type World } from './world.ts';

export function pruned(world: World, messages: Interner<Message>): World {
  // A restored row may bring any old epoch back.
  if (world.backup !== null || world.row.operation?.kind === 'recovery' || world.row.behind) return world;
  const net = world.net.filter((id) => {
    const message = messages.valueOf(id);
    return message.to === 'controller' ? answerMatters(world, message) : orderMatters(world, hostAt(world, message.host), message);
  });
  return net.length === world.net.length ? world : { ...world, net };
}

/** An answer about an epoch matters while that epoch is being decided on, or holds. Epochs are never reused. */
function answerMatters({ row }: World, { from, message }: Extract<Message, { to: 'controller' }>): boolean {
  const { operation, holder } = row;
  const current = operation?.kind === 'move' || operation?.kind === 'start' ? operation.grant.epoch : 0;
  const held = holder.kind === 'host' && holder.hostId === HOSTS[from] ? holder.epoch : 0;
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
      return message.release.epoch === current;
    case 'resumed':
      return message.forfeited === current;
    case 'ended':
      return message.epoch === current || message.epoch === held;
    default:
      return message.epoch === current;
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
