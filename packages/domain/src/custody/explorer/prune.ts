/**
 * Forgets messages that can change nothing any more, so that worlds that differ only in them are one. Each case below is an argument from the rules;
 * therefore pruning is off when a rule is, and a test compares the results with and without it.
 */
import type { CustodyRow } from '../custody-row.ts';
import type { HostCustody } from '../host-custody.ts';
import type { HostReport } from '../host-effect.ts';
import { undyingHost } from './canonical.ts';
import type { Interned, Interner } from './interner.ts';
import { surelyKnown } from './modelled-journal.ts';
import type { Successors } from './successors.ts';
import { HOSTS, type Host, type Message, type World } from './world.ts';

export class Pruner {
  readonly #steps: Successors;
  readonly #messages: Interner<Message>;
  /** By row and host, per message: 1 it matters, 2 it does not. */
  readonly #orders = new Map<number, Uint8Array>();
  readonly #answers = new Map<number, Uint8Array>();
  readonly #undying = new Map<number, Interned<Host>>();

  constructor(steps: Successors) {
    this.#steps = steps;
    this.#messages = steps.messages;
  }

  pruned(before: World): World {
    const world = before.faults === 0 ? this.#withoutDeaths(before) : before;
    // A restored row may bring any old epoch back.
    if (world.backup !== null || world.row.value.operation?.kind === 'recovery' || world.row.value.behind) return world;
    const net = world.net.filter((id) => this.#matters(world, id));
    return net.length === world.net.length ? world : { ...world, net };
  }

  #withoutDeaths(world: World): World {
    const hosts = world.hosts.map((host) => {
      let undying = this.#undying.get(host.id);
      if (undying === undefined) {
        undying = this.#steps.host(undyingHost(host.value));
        this.#undying.set(host.id, undying);
      }
      return undying;
    });
    return hosts.every((host, index) => host === world.hosts[index]) ? world : { ...world, hosts };
  }

  #matters({ row, hosts }: World, id: number): boolean {
    const message = this.#messages.valueOf(id);
    const host = message.to === 'host' ? hosts[message.host] : undefined;
    const [memory, key] = host === undefined ? [this.#answers, row.id] : [this.#orders, row.id * 2 ** 24 + host.id];
    let known = memory.get(key);
    if (known === undefined || known.length <= id) {
      const longer = new Uint8Array(Math.max(64, id + 32));
      if (known !== undefined) longer.set(known);
      known = longer;
      memory.set(key, known);
    }
    if (known[id] === 0) {
      const matters =
        message.to === 'controller'
          ? answerMatters(row.value, message)
          : host === undefined || orderMatters(row.value, host.value, message);
      known[id] = matters ? 1 : 2;
    }
    return known[id] === 1;
  }
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
function answerMatters(row: CustodyRow, { from, message }: Extract<Message, { to: 'controller' }>): boolean {
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
    case 'suspended':
      return message.epoch === held;
    case 'notSuspended':
      return false;
    case 'report':
      return reportMatters(row, from, message);
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

/** An old report says something only about an epoch that it knows and that holds, or is being granted, there; and about a copy that was alive. */
function reportMatters({ operation, holder }: CustodyRow, from: number, { knownEpoch, copy, bootId }: HostReport): boolean {
  const alive =
    copy.kind === 'granted'
      ? copy.grant.bootId === bootId || copy.memory
      : copy.kind === 'suspended' || (copy.kind !== 'none' && copy.alive);
  if (alive) return true;
  if (holder.kind !== 'nowhere' && holder.hostId === HOSTS[from] && knownEpoch >= holder.epoch) return true;
  const granted = operation?.kind === 'move' || operation?.kind === 'start' ? operation.grant : null;
  return granted !== null && granted.destination === HOSTS[from] && knownEpoch >= granted.epoch;
}

/** An order matters unless the host will refuse it whatever happens, or would only repeat an answer that nobody awaits any more. */
function orderMatters(row: CustodyRow, host: Host, message: Extract<Message, { to: 'host' }>): boolean {
  const { machine, journal } = host;
  if (machine === null) return true;
  if ('command' in message && message.command.fence > machine.fence) return true;
  const kind = 'command' in message ? message.command.kind : message.peer.kind;
  const epoch = epochOf(message);
  const { operation, holder, remains } = row;
  const step = (operation?.kind === 'move' || operation?.kind === 'start') && operation.grant.epoch === epoch ? operation.step : null;
  // What it is now, and what the death of its agent or a power loss can make of it.
  const states = [machine, journal.now, ...journal.lossy];
  // Without this epoch being known for certain a grant of it may still be accepted, and then everything about it matters.
  const unknown = surelyKnown(journal) < epoch;
  const granted = states.some(({ copy }) => copy.kind === 'granted' && copy.grant.epoch === epoch);
  const leaving = states.some(({ copy }) => copy.kind === 'held' && copy.alive && copy.outgoing?.grant.epoch === epoch);
  switch (kind) {
    // However late it comes, it is answered by what the host has by then.
    case 'census':
      return true;
    case 'grant':
      return unknown || step === 'granting';
    case 'launch':
    case 'release':
      return unknown || granted || (step !== null && kind === 'launch') || step === 'releasing';
    case 'forfeit':
      return (
        unknown || granted || step !== null || states.some(({ refusedThrough, lastTaken }) => Math.max(refusedThrough, lastTaken) < epoch)
      );
    // The source's orders: an arm is lost with the power, and so is the copy that it was for.
    case 'arm':
      return machine.knownEpoch < epoch || step === 'granting' || step === 'arming';
    case 'migrate':
      return machine.knownEpoch < epoch || leaving || step === 'granting' || step === 'arming' || step === 'copying';
    case 'disarm':
      return machine.knownEpoch < epoch || leaving || (step !== null && awaited['disarmed']?.includes(step) === true);
    case 'resume':
      return leaving || step !== null || states.some(({ copy }) => copy.kind === 'released' && copy.to.epoch === epoch);
    case 'destroy':
      return (
        machine.refusedThrough < epoch - 1 ||
        operation?.kind === 'destroy' ||
        remains.some(({ hostId }) => hostId === machine.hostId) ||
        (machine.copy.kind !== 'none' && machine.copy.grant.epoch < epoch)
      );
    default:
      return (
        unknown || step !== null || (holder.kind === 'host' && holder.epoch === epoch) || states.some((state) => touches(state, epoch))
      );
  }
}

function touches({ copy }: HostCustody, epoch: number): boolean {
  if (copy.kind === 'none') return false;
  if (copy.grant.epoch === epoch) return true;
  if (copy.kind === 'held') return copy.outgoing?.grant.epoch === epoch;
  return copy.kind === 'released' && copy.to.epoch === epoch;
}

function epochOf(message: Extract<Message, { to: 'host' }>): number {
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
