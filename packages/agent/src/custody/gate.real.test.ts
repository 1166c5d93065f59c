import { join } from 'node:path';
import type { Grant } from '@godwit/domain/custody/grant';
import type { HostMessage, PeerMessage } from '@godwit/domain/custody/host-effect';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { describe, expect, test } from 'vitest';
import { memoryChannel } from '../qemu/memory-file.ts';
import { afterCancel, channels, migrate, pause, TinyLab, type TinyQemu } from './conformance/tiny-qemu.ts';
import { CustodyRefused } from './custody-refused.ts';
import { type CustodyInput, type Gate, openGate } from './gate.ts';
import { type CustodyJournal, openJournal } from './journal.ts';
import { processAlive } from './kill-process.ts';
import type { QemuControl } from './qemu-control.ts';

const serverId = as<ServerId>('5e17e000-0000-4000-8000-000000000001');
const fence = asFence(1);

/** One host: a journal and a gate that can die and come back. */
class Host {
  readonly id: HostId;
  readonly boot: BootId;
  readonly news: HostMessage[] = [];
  peer: Host | null = null;
  gate: Gate;
  ramAddress = '';
  memoryPath = '';
  /** What an `fsync` of the memory comes to. */
  syncFails = false;
  #journal: CustodyJournal;
  readonly #path: string;
  /** What the source's orders to tell the destination became. */
  sent: Promise<unknown> = Promise.resolve();
  /** For the next gate. */
  preSwitchoverLimitMs = 100;

  constructor(lab: TinyLab, name: string) {
    this.id = as<HostId>(name);
    this.boot = as<BootId>(`boot-of-${name}`);
    this.#path = join(lab.dir, name, 'journal');
    this.#journal = openJournal({ path: this.#path, hostId: this.id, bootId: this.boot });
    this.gate = this.#opened();
  }

  feed(event: CustodyInput): Promise<readonly HostMessage[]> {
    return this.gate.feed(serverId, event);
  }

  /** The agent dies and another starts; QEMU does not notice. */
  restart(attached: QemuControl | null): void {
    this.gate.close();
    this.#journal.close();
    this.#journal = openJournal({ path: this.#path, hostId: this.id, bootId: this.boot });
    this.gate = this.#opened();
    if (attached !== null) this.gate.attach(serverId, attached);
  }

  #opened(): Gate {
    return openGate({
      bootId: this.boot,
      journal: this.#journal,
      migrateArguments: () => channels(this.ramAddress),
      memory: {
        saveArguments: () => memoryChannel(this.memoryPath),
        sync: () => (this.syncFails ? Promise.reject(new Error('the disk is gone')) : Promise.resolve()),
      },
      send: (_, __, message) => this.#deliver(message),
      news: (_, message) => this.news.push(message),
      preSwitchoverLimitMs: this.preSwitchoverLimitMs,
    });
  }

  #deliver(message: PeerMessage): void {
    if (message.kind !== 'release' || this.peer === null) return;
    this.sent = this.peer.feed({ kind: 'release', release: message.release });
  }
}

const grantTo = (destination: Host, source: Host | null, epoch: number, more: Partial<Grant> = {}): Grant => ({
  serverId,
  migrationId: source === null ? null : as<MigrationId>(`m${epoch}`),
  source: source?.id ?? null,
  destination: destination.id,
  epoch: asEpoch(epoch),
  previousEpoch: asEpoch(epoch - 1),
  fence,
  endState: 'running',
  bootId: destination.boot,
  postCopy: false,
  ...more,
});

async function started(lab: TinyLab, host: Host, epoch = 1): Promise<TinyQemu> {
  const qemu = await lab.start();
  await host.feed({ kind: 'grant', fence, grant: grantTo(host, null, epoch) });
  host.gate.attach(serverId, qemu.control);
  await host.feed({ kind: 'bind', epoch: asEpoch(epoch), process: qemu.control.process });
  await host.feed({ kind: 'launch', fence, epoch: asEpoch(epoch) });
  await qemu.shows({ runstate: 'running' });
  return qemu;
}

/** Up to the arm: both sides know the grant, nothing moves yet. */
async function prepared(
  lab: TinyLab,
  source: Host,
  destination: Host,
  grant: Grant,
  qemu: TinyQemu,
  stopAt: 'active' | 'pre-switchover' | null = null,
): Promise<TinyQemu> {
  await destination.feed({ kind: 'grant', fence, grant });
  const incoming = await lab.listening();
  destination.gate.attach(serverId, incoming.control);
  await destination.feed({ kind: 'bind', epoch: grant.epoch, process: incoming.control.process });
  const on = { events: true, 'return-path': true, 'pause-before-switchover': stopAt === 'pre-switchover' };
  await qemu.qmp.execute('migrate-set-capabilities', {
    capabilities: Object.entries(on).map(([capability, state]) => ({ capability, state })),
  });
  await qemu.qmp.execute('migrate-set-parameters', { 'max-bandwidth': stopAt === 'active' ? 10_000 : 0 });
  source.ramAddress = incoming.address;
  source.peer = destination;
  await source.feed({ kind: 'arm', fence, grant });
  return incoming;
}

/** As the engine does: QEMU announces, the gate is told to look, until the attempt has ended. */
function watched(source: Host, qemu: TinyQemu): () => void {
  return qemu.control.onMigrationStatus((status) => {
    if (status !== 'completed' && status !== 'failed' && status !== 'cancelled') return;
    const look = async (): Promise<void> => {
      for (let turn = 0; turn < 200; turn += 1) {
        for (const message of await source.feed({ kind: 'observed' })) source.news.push(message);
        const { copy } = source.gate.state(serverId);
        if (copy.kind === 'released' || (copy.kind === 'held' && copy.outgoing === null)) return;
        await pause(0);
      }
    };
    void look();
  });
}

const refusedAs = async (code: string, work: Promise<unknown>): Promise<void> => {
  await expect(work).rejects.toSatisfy((error) => error instanceof CustodyRefused && error.refusal.code === code);
};

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (const end = performance.now() + 10_000; !holds(); await pause(2)) if (performance.now() > end) throw new Error(`never: ${what}`);
};

const onTwoHosts = (name: string, run: (lab: TinyLab, a: Host, b: Host) => Promise<void>): void => {
  test(`custody: ${name}`, { timeout: 30_000 }, async () => {
    await using lab = new TinyLab();
    const [a, b] = [new Host(lab, 'a'), new Host(lab, 'b')];
    try {
      await expect(run(lab, a, b)).resolves.toBeUndefined();
    } finally {
      a.gate.close();
      b.gate.close();
    }
  });
};

describe('two hosts, real QEMU, no disks', () => {
  onTwoHosts('moves a guest there and back; the own share of the blackout is small', async (lab, a, b) => {
    const shares: number[] = [];
    let qemu = await started(lab, a);
    let [from, to] = [a, b];
    for (let epoch = 2; epoch <= 7; epoch += 1) {
      const grant = grantTo(to, from, epoch);
      const incoming = await prepared(lab, from, to, grant, qemu);
      let completedAt = 0;
      qemu.control.onMigrationStatus((status) => {
        if (status === 'completed') completedAt = performance.now();
      });
      const unwatch = watched(from, qemu);
      const resumed = incoming.qmp.next((event) => event.event === 'RESUME', 10_000).then(() => performance.now());
      await from.feed({ kind: 'migrate', fence, epoch: grant.epoch });
      shares.push((await resumed) - completedAt);
      unwatch();
      expect((await incoming.now()).runstate).toBe('running');
      expect((await qemu.now()).runstate).toBe('postmigrate');
      expect(from.gate.state(serverId).copy.kind).toBe('released');
      // QEMU tells of its resuming before it answers the order.
      await until('taken', () => to.gate.state(serverId).copy.kind === 'held');
      await refusedAs('custody-released', from.feed({ kind: 'unpause', fence, epoch: asEpoch(epoch - 1) }));
      await from.feed({ kind: 'destroy', fence, epoch: grant.epoch });
      expect(processAlive(qemu.control.process)).toBe(false);
      [from, to, qemu] = [to, from, incoming];
    }
    console.log(`own share of the blackout, ms: ${shares.map((share) => share.toFixed(1)).join(' ')}`);
  });

  onTwoHosts('a cancel leaves the guest running; the destination forfeits; a late grant and release are refused', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    const incoming = await prepared(lab, a, b, grant, qemu, 'active');
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await refusedAs('custody-migrating', a.feed({ kind: 'unpause', fence, epoch: asEpoch(1) }));
    await refusedAs('custody-epoch-unknown', b.feed({ kind: 'unpause', fence, epoch: asEpoch(2) }));
    await a.feed({ kind: 'disarm', fence, epoch: grant.epoch });
    await until('disarmed', () => a.news.some((message) => message.kind === 'disarmed' && message.source === 'runs'));
    await qemu.shows(afterCancel);
    expect(await b.feed({ kind: 'forfeit', fence, epoch: grant.epoch, bootId: b.boot })).toEqual([{ kind: 'forfeited', epoch: 2 }]);
    expect(processAlive(incoming.control.process)).toBe(false);
    await refusedAs('custody-epoch-stale', b.feed({ kind: 'grant', fence, grant }));
    await refusedAs(
      'custody-epoch-stale',
      b.feed({ kind: 'release', release: { migrationId: as<MigrationId>('m2'), source: a.id, destination: b.id, epoch: grant.epoch } }),
    );
    await refusedAs('custody-epoch-stale', a.feed({ kind: 'arm', fence, grant }));
  });

  onTwoHosts('a released guest is resumed only after the forfeit', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    const incoming = await prepared(lab, a, b, grant, qemu);
    a.peer = null; // the release is lost
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await until('released', () => a.gate.state(serverId).copy.kind === 'released');
    await refusedAs('custody-released', a.feed({ kind: 'resume', fence, epoch: asEpoch(1), forfeited: asEpoch(3) }));
    expect(await b.feed({ kind: 'forfeit', fence, epoch: grant.epoch, bootId: b.boot })).toEqual([{ kind: 'forfeited', epoch: 2 }]);
    expect(processAlive(incoming.control.process)).toBe(false);
    await a.feed({ kind: 'resume', fence, epoch: asEpoch(1), forfeited: grant.epoch });
    await qemu.shows({ runstate: 'running' });
  });

  onTwoHosts('an agent that dies between taking and cont: the next one finishes the take', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    const incoming = await prepared(lab, a, b, grant, qemu);
    let told = false;
    const cont = (): Promise<never> => {
      told = true;
      return new Promise(() => undefined);
    };
    b.gate.attach(serverId, { ...incoming.control, cont });
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await until('released', () => a.gate.state(serverId).copy.kind === 'released');
    await incoming.shows({ runstate: 'paused', migration: 'completed' });
    // The take is written before it is told.
    await until('told to run', () => told);
    b.restart(incoming.control);
    expect(await b.feed({ kind: 'forfeit', fence, epoch: grant.epoch, bootId: b.boot })).toEqual([{ kind: 'took', epoch: 2, alive: true }]);
    await incoming.shows({ runstate: 'running' });
  });

  onTwoHosts('an agent that dies after the source has completed: the next one releases', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    const incoming = await prepared(lab, a, b, grant, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await qemu.shows({ runstate: 'postmigrate' });
    a.restart(qemu.control);
    a.peer = b;
    const told = await a.feed({ kind: 'adopt' });
    expect(told.map(({ kind }) => kind)).toContain('released');
    await incoming.shows({ runstate: 'running' });
  });

  onTwoHosts("the destination's death after the release: forfeit, and the source runs on", async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    const incoming = await prepared(lab, a, b, grant, qemu);
    a.peer = null;
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await until('released', () => a.gate.state(serverId).copy.kind === 'released');
    incoming.kill();
    await incoming.exited;
    await refusedAs(
      'custody-not-ready',
      b.feed({ kind: 'release', release: { migrationId: as<MigrationId>('m2'), source: a.id, destination: b.id, epoch: grant.epoch } }),
    );
    expect(await b.feed({ kind: 'forfeit', fence, epoch: grant.epoch, bootId: b.boot })).toEqual([{ kind: 'forfeited', epoch: 2 }]);
    await a.feed({ kind: 'resume', fence, epoch: asEpoch(1), forfeited: grant.epoch });
    await qemu.shows({ runstate: 'running' });
  });

  onTwoHosts('pre-switchover ends by our own limit', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    await prepared(lab, a, b, grant, qemu, 'pre-switchover');
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await qemu.shows(afterCancel);
    await until('disarmed', () => a.news.some((message) => message.kind === 'disarmed' && message.source === 'runs'));
  });

  for (const armed of [true, false])
    onTwoHosts(
      `an agent that dies in pre-switchover, ${armed ? 'armed: the next one keeps the limit' : 'its arm unknown: the next one cancels at once'}`,
      async (lab, a, b) => {
        const qemu = await started(lab, a);
        // The agent that dies must not reach its own limit before.
        a.preSwitchoverLimitMs = 60_000;
        a.restart(qemu.control);
        await a.feed({ kind: 'adopt' });
        const incoming = armed ? await prepared(lab, a, b, grantTo(b, a, 2), qemu, 'pre-switchover') : await lab.listening();
        if (armed) await a.feed({ kind: 'migrate', fence, epoch: asEpoch(2) });
        else await migrate(qemu, incoming, 'pre-switchover');
        await qemu.shows({ migration: 'pre-switchover' });
        // With no arm known it does not wait for the limit.
        if (armed) a.preSwitchoverLimitMs = 100;
        a.restart(null);
        await pause(200);
        // Dead agents limit nothing: without the next one, QEMU would stand there for ever.
        await qemu.shows({ migration: 'pre-switchover' });
        a.gate.attach(serverId, qemu.control);
        watched(a, qemu);
        await a.feed({ kind: 'adopt' });
        await qemu.shows(afterCancel);
        expect((await incoming.now().catch(() => null))?.runstate).not.toBe('running');
        if (armed) await until('disarmed', () => a.news.some((message) => message.kind === 'disarmed' && message.source === 'runs'));
      },
    );

  onTwoHosts('a stream that nobody is armed for is cancelled when the agent comes back', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const other = await lab.listening();
    await qemu.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 10_000 });
    await qemu.qmp.execute('migrate', channels(other.address));
    await qemu.shows({ migration: 'active' });
    a.restart(qemu.control);
    await a.feed({ kind: 'adopt' });
    await qemu.shows(afterCancel);
    expect(b.gate.servers()).toEqual([]);
  });

  onTwoHosts('a paused guest ends paused, and runs when it is told to', async (lab, a, b) => {
    const qemu = await started(lab, a);
    await a.feed({ kind: 'pause', fence, epoch: asEpoch(1) });
    const grant = grantTo(b, a, 2, { endState: 'paused' });
    const incoming = await prepared(lab, a, b, grant, qemu);
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await until('taken', () => b.gate.state(serverId).copy.kind === 'held');
    await pause(100);
    expect((await incoming.now()).runstate).toBe('paused');
    await b.feed({ kind: 'unpause', fence, epoch: grant.epoch });
    await incoming.shows({ runstate: 'running' });
  });

  onTwoHosts('a broken turn is taken up again from the journal and QEMU', async (lab, a, b) => {
    const qemu = await started(lab, a);
    const grant = grantTo(b, a, 2);
    const incoming = await prepared(lab, a, b, grant, qemu);
    let refusals = 1;
    b.gate.attach(serverId, {
      ...incoming.control,
      cont: () => (refusals-- > 0 ? Promise.reject(new Error('silent')) : incoming.control.cont()),
    });
    watched(a, qemu);
    await a.feed({ kind: 'migrate', fence, epoch: grant.epoch });
    await until('sent', () => a.gate.state(serverId).copy.kind === 'released');
    await a.sent.catch(() => undefined);
    await incoming.shows({ runstate: 'running' });
    await until('told', () => b.news.some((message) => message.kind === 'took' && message.alive));
  });

  onTwoHosts('power off ends the guest that holds and no other; lower fences are refused', async (lab, a) => {
    const qemu = await started(lab, a);
    await refusedAs('custody-epoch-unknown', a.feed({ kind: 'powerOff', fence, epoch: asEpoch(2) }));
    await a.feed({ kind: 'pause', fence: asFence(5), epoch: asEpoch(1) });
    await refusedAs('custody-fence-low', a.feed({ kind: 'unpause', fence: asFence(4), epoch: asEpoch(1) }));
    expect(await a.feed({ kind: 'powerOff', fence: asFence(5), epoch: asEpoch(1) })).toEqual([{ kind: 'ended', epoch: 1 }]);
    expect(processAlive(qemu.control.process)).toBe(false);
    const again = await lab.start();
    await a.feed({ kind: 'grant', fence: asFence(5), grant: grantTo(a, null, 2, { fence: asFence(5) }) });
    a.gate.attach(serverId, again.control);
    await a.feed({ kind: 'bind', epoch: asEpoch(2), process: again.control.process });
    await a.feed({ kind: 'launch', fence: asFence(5), epoch: asEpoch(2) });
    await again.shows({ runstate: 'running' });
  });
});
