import { readFile } from 'node:fs/promises';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import type { BootId, ServerId } from '@godwit/domain/ids';
import { as } from '@godwit/domain/ids';
import { openCustody } from '../../custody/open-custody.ts';
import { DhcpService } from '../../dhcp/dhcp-service.ts';
import type { CurrentIdentity } from '../../host-agent.ts';
import type { LoadedConfig } from '../../load-agent-config.ts';
import { sweepTunnels } from '../../migration/frame-mirror.ts';
import { isTerminal } from '../../migration/migration-record.ts';
import { MigrationStore } from '../../migration/migration-store.ts';
import { PortRange } from '../../migration/port-range.ts';
import { sweepMirrors } from '../../migration/remove-mirrors.ts';
import { ensureBridge } from '../../network/guest-bridge.ts';
import { GuestNetworks } from '../../network/guest-networks.ts';
import { networkTools } from '../../network/network-tools.ts';
import { nftables } from '../../network/nft.ts';
import { sweepTaps } from '../../network/tap.ts';
import { Precedence } from '../../precedence.ts';
import { readConsole } from '../../qemu/console-log.ts';
import { isSpent } from '../../qemu/guest-fact.ts';
import { adoptGuests, findProcess } from '../../qemu/guest-process.ts';
import { memoryChannel } from '../../qemu/memory-file.ts';
import { runDir } from '../../qemu/run-dir.ts';
import { openControllerLink } from '../../rpc/controller-link.ts';
import { SpaceLedger } from '../../storage/space-ledger.ts';
import { tellSlowStep } from '../../tell-slow-step.ts';
import { WallClock } from '../../wall-clock.ts';
import type { HostDriver } from '../host-driver.ts';
import { HostEvents } from '../host-events.ts';
import { changeNics } from './change-nics.ts';
import { clearMemories } from './clear-memories.ts';
import { DirtyWatch } from './dirty-watch.ts';
import { DiskCopies } from './disk-copies.ts';
import { snapshotDisk } from './disk-snapshot.ts';
import { endSpentGuest } from './end-spent-guest.ts';
import { oneAtATime } from './exclusive.ts';
import { destroyGuest, pauseGuest, rebootGuest, startGuest, stopGuest, unpauseGuest } from './guest-lifecycle.ts';
import { GuestRegistry } from './guest-registry.ts';
import type { HostProbe } from './host-probe.ts';
import { readImage } from './image-from-peer.ts';
import { Moves } from './moves.ts';
import { QemuConsoles } from './qemu-consoles.ts';
import type { DriverLog, QemuHost } from './qemu-host.ts';
import { memoryPath, syncMemory } from './saved-memory.ts';
import { scaleGuest } from './scale-guest.ts';
import { scaleMemory } from './scale-memory.ts';
import { abandonSaving, suspendGuest } from './suspend-guest.ts';
import { syncGuestTime } from './sync-guest-time.ts';

/** How long a QEMU that outlived the agent may take to answer. */
const adoptDeadlineMs = 5_000;

/**
 * Opens this host for work: makes the guest bridge, adopts every QEMU that outlived the last agent, and lets custody make its journal agree with what is there. When it returns,
 * guests and moves are as they would be had this agent never been away. Starts no guest.
 */
export async function openQemuDriver(
  config: LoadedConfig,
  probe: HostProbe,
  identity: CurrentIdentity,
  bootId: BootId,
  log: DriverLog,
): Promise<HostDriver> {
  const clock = new WallClock(config.clockSkewMs ?? 0);
  const events = new HostEvents(() => clock.nowMs());
  const tools = networkTools();
  await tellSlowStep(log, `bridge ${config.bridge.name}`, () => ensureBridge(tools, config.bridge));
  const hostId = identity.current.hostId;
  const networks = await tellSlowStep(log, 'the rules of guests’ networks', () => GuestNetworks.open(nftables(), config.stateDir));
  const dhcp = await DhcpService.open(tools, (portId) => networks.leaseOf(portId)).catch((error: unknown) => {
    log.error({ err: error }, 'guests of this host get no answer by DHCP');
    return null;
  });
  const store = new MigrationStore(config.stateDir);
  const controller = openControllerLink(config.controllerUrl, identity);

  // Custody, guests and moves know each other; the two callbacks close the circle.
  const custody = openCustody({
    stateDir: config.stateDir,
    hostId,
    bootId,
    noteSynced: config.modelPowerLoss ?? false,
    migrateArguments: (serverId, epoch) => moves.streamOf(serverId, epoch),
    memory: {
      saveArguments: (serverId, epoch) => {
        const spec = guests.spec(serverId);
        if (spec === null) throw new Error(`nothing is known of the guest of server ${serverId}`);
        return memoryChannel(memoryPath(config.stateDir, spec, epoch));
      },
      sync: (serverId, epoch) => syncMemory(config.stateDir, serverId, epoch),
    },
    send: (serverId, _to, message) => moves.send(serverId, message),
    news: (serverId, message) => moves.heard(serverId, message),
    findStray: (serverId) => findProcess(runDir(config.stateDir, serverId)),
    failed: (serverId, error) => log.error({ err: error, serverId }, 'custody could not look at a guest and tries again'),
  });
  const guests: GuestRegistry = new GuestRegistry(custody, events, bootId, (serverId, fact) => {
    moves.guestIs(serverId, fact);
    if (isSpent(fact)) void endSpentGuest(host, serverId);
    if (fact.kind !== 'died') return;
    custody.feed(serverId, { kind: 'observed' }).then(
      (told) => {
        for (const message of told) moves.heard(serverId, message);
      },
      (error: unknown) => log.warn({ err: error, serverId }, 'custody could not note a death'),
    );
  });
  const host: QemuHost = {
    config,
    hostId,
    bootId,
    identity,
    clock,
    events,
    tools,
    networks,
    dhcp,
    custody,
    controller,
    guests,
    log,
    precedence: new Precedence(config.switchoverPrecedence ?? true, log),
    capabilities: probe.choice.capabilities,
    defaults: probe.defaults,
    pools: probe.pools,
    ports: new PortRange(config.migrationPorts),
    exclusive: oneAtATime(),
  };
  const space = new SpaceLedger();
  const moves = new Moves(host, store, space);
  const copies = new DiskCopies(host, (serverId) => moves.cleared(serverId));
  const consoles = new QemuConsoles(host, (serverId) => consoleDirOf(host, serverId));
  await adopt(host, moves, store);
  const dirty = new DirtyWatch(host, () => moves.reports().some(({ state }) => !isTerminal(state)));
  const { exclusive } = host;

  return {
    hostId,
    bootId,
    events,
    consoles,
    facts: probe.facts,
    guests: () => Promise.resolve(guests.servers().map((serverId) => guests.report(serverId))),
    migrations: () => moves.reports(),
    startGuest: (grant, wanted) =>
      exclusive(
        wanted.serverId,
        async () => {
          await moves.cleared(wanted.serverId);
          return startGuest(host, grant, wanted, () => moves.cleared(wanted.serverId));
        },
        `start ${grant.epoch}`,
      ),
    stopGuest: (authority, timeoutMs) => exclusive(authority.serverId, () => stopGuest(host, authority, timeoutMs)),
    pauseGuest: (authority) => exclusive(authority.serverId, () => pauseGuest(host, authority)),
    unpauseGuest: (authority) => exclusive(authority.serverId, () => unpauseGuest(host, authority)),
    suspendGuest: (authority, vcpus) =>
      exclusive(authority.serverId, () => suspendGuest(host, space, authority, vcpus), `suspend ${authority.epoch}`),
    rebootGuest: async (authority, hard) => {
      // Outside the lock, which whoever saves holds until the end.
      if (hard) await abandonSaving(host, authority);
      return exclusive(authority.serverId, () => rebootGuest(host, authority, hard));
    },
    changeNics: (authority, wanted) => exclusive(authority.serverId, () => changeNics(host, authority, wanted)),
    scaleGuest: (authority, wanted) => exclusive(authority.serverId, () => scaleGuest(host, authority, wanted)),
    scaleMemory: (authority, ramMib) => exclusive(authority.serverId, () => scaleMemory(host, authority, ramMib)),
    destroyGuest: async (authority, deleteDisks, wanted) => {
      const existed = await destroyGuest(host, authority, deleteDisks, wanted);
      moves.destroyed(authority.serverId);
      return existed;
    },
    supersede: async (authority) => {
      await destroyGuest(host, authority, false, null);
      moves.destroyed(authority.serverId);
      return guests.report(authority.serverId);
    },
    readConsole: async (serverId, maxBytes, maxLines) => readConsole(await consoleDirOf(host, serverId), maxBytes, maxLines),
    measureDirty: async (serverId, maxAgeMs, maxWaitMs) => {
      const measure = await dirty.measure(serverId, maxAgeMs, maxWaitMs);
      return measure && { usedBytes: measure.usedBytes, points: measure.points, ageMs: Math.max(0, clock.nowMs() - measure.atMs) };
    },
    prepareIncoming: (grant, wanted, policy, source) =>
      exclusive(wanted.serverId, () => moves.prepare(grant, wanted, policy, source), `prepare ${grant.migrationId} ${grant.epoch}`),
    startOutgoing: (grant, ready, policy, destination) =>
      exclusive(grant.serverId, () => moves.start(grant, ready, policy, destination), `start ${grant.migrationId} ${grant.epoch}`),
    setMigrationPolicy: (_authority, migrationId, policy) => moves.setPolicy(migrationId, policy),
    // Aborts never wait for a lock: what they abort may hold it.
    cancelOutgoing: (grant) => moves.cancel(grant),
    resumeOutgoing: (grant) => moves.resumeAfterForfeit(grant),
    forfeitIncoming: (grant, deleteDisks, wanted) => moves.forfeit(grant, deleteDisks, wanted),
    relayRelease: (notice) => moves.relay(notice),
    finishIncoming: (authority, migrationId) => moves.finish(authority, migrationId),
    syncGuestTime: (authority) => syncGuestTime(host, authority),
    dropOutgoing: (authority, migrationId, deleteDisks, wanted) => moves.drop(authority, migrationId, deleteDisks, wanted),
    offerDisks: (authority, migrationId, destination, wanted) => copies.offer(authority, migrationId, destination, wanted),
    snapshotDisk: (authority, wanted, diskId, signal) => snapshotDisk(host, space, authority, wanted, diskId, signal),
    readDisk: (from, migrationId, diskId) => copies.read(from, migrationId, diskId),
    readImage: (pool, image) => readImage(host.pools, pool, image),
    // No guest starts here while its disks are being written.
    fetchDisks: (authority, migrationId, source, wanted, copied) =>
      exclusive(wanted.serverId, () => copies.fetch(authority, migrationId, source, wanted, copied)),
    release: (notice) => moves.release(notice),
    carryFlows: (from, migrationId, flows) => moves.carryFlows(from, migrationId, flows),
    setNetworkPolicy: async (policy) => {
      const raised = await networks.update(policy);
      const processes = guests.servers().flatMap((serverId) => guests.process(serverId) ?? []);
      await dhcp?.serve(processes.flatMap(({ spec }) => spec.nics));
      // Whoever was moved while its port was down has not been heard of here: the network still leads to where it was.
      for (const { spec, qmp } of processes)
        if (spec.nics.some(({ portId }) => raised.has(portId)))
          await qmp.execute('announce-self', { initial: 50, max: 550, rounds: 5, step: 100 }).catch(() => undefined);
    },
    setNetworkOpen: (from, migrationId, open, busyPorts) => moves.setNetworkOpen(from, migrationId, open, busyPorts),
    nowMs: () => clock.nowMs(),
    close: async () => {
      dirty.close();
      await guests.close();
      await moves.close();
      consoles.close();
      dhcp?.close();
      controller.close();
      custody.close();
    },
  };
}

async function adopt(host: QemuHost, moves: Moves, store: MigrationStore): Promise<void> {
  const { custody, guests, log, tools } = host;
  const keepTaps = new Set<string>();
  const step = <T>(what: string, run: () => Promise<T>): Promise<T> => tellSlowStep(log, what, run);
  const adoptions = await step('QEMUs that outlived the last agent', () => adoptGuests(host.config.stateDir, adoptDeadlineMs));
  for (const found of adoptions) {
    if (found.kind === 'adopted') {
      host.precedence.ordinary(found.process.ref.pid);
      guests.add(found.process.spec.serverId, found.process);
      for (const nic of found.process.spec.nics) keepTaps.add(nic.tapName);
    } else if (found.kind === 'gone') {
      const serverId = as<ServerId>(found.name);
      const { copy } = custody.state(serverId);
      if (copy.kind !== 'held') continue;
      const last = found.lastLines.at(-1);
      const cause = `QEMU died while the agent was away${last === undefined ? '' : `: ${last}`}`;
      // A reboot of the host is no crash of the guest: it is off, and starts again only under a new grant.
      if (copy.grant.bootId !== host.bootId)
        guests.addDead(serverId, { kind: 'powered-off', byGuest: false, reason: 'the host restarted' });
      else guests.addDead(serverId, { kind: 'died', clean: false, cause, lastLines: found.lastLines });
    } else log.error({ err: found.cause, serverId: found.name, pid: found.ref.pid }, 'a QEMU that outlived the agent does not answer');
  }
  await step('the moves of the last agent', async () => moves.restore(await store.readAll(Date.now())));
  for (const serverId of custody.servers()) {
    // A QEMU that does not answer must not keep the others from being adopted; custody goes on trying.
    const told = await step(`custody of server ${serverId}`, () => custody.feed(serverId, { kind: 'adopt' })).catch((error: unknown) => {
      log.error({ err: error, serverId }, 'a guest could not be adopted yet');
      return [];
    });
    for (const message of told) moves.heard(serverId, message);
  }
  moves.resume();
  await step('memories of guests left on storage', () => clearMemories(host));
  for (const serverId of guests.servers()) {
    const process = guests.process(serverId);
    if (process)
      await step(`mirrors of disks left at server ${serverId}`, () => sweepMirrors(process, moves.goingOn())).catch((error: unknown) =>
        log.warn({ err: error, serverId }, 'left mirrors of disks could not be swept'),
      );
  }
  // What a crash has left is in no guest's way: a host that cannot clear it away serves all the same, and the next start tries again.
  const left = (what: string) => (error: unknown) => log.warn({ err: error }, what);
  await step('taps left', () => sweepTaps(tools, keepTaps)).catch(left('left taps could not be swept'));
  await step('rules left', () => host.networks.keepOnly(keepTaps));
  for (const serverId of guests.servers())
    await host.dhcp?.serve(guests.process(serverId)?.spec.nics ?? []).catch(left('a guest gets no answer by DHCP'));
  await step('tunnels left', () => sweepTunnels(tools, moves.copyingFrames())).catch(left('left tunnels could not be swept'));
}

/** Where the console log of a guest lies that has, or had, a QEMU here. */
async function consoleDirOf(host: QemuHost, serverId: ServerId): Promise<string> {
  const run = runDir(host.config.stateDir, serverId);
  const known =
    host.guests.spec(serverId) ??
    (await readFile(run.specFile, 'utf8').then(
      (text) => JSON.parse(text) as GuestSpec,
      () => null,
    ));
  return known?.consoleDir ?? run.consoleDir;
}
