/** The lab that the fault suite breaks: what can be seen of it from outside, and the hands on its processes, cables and power. */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, open, readdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MigrationOutcome } from '@godwit/domain/migration';
import { type ClientProbe, startProbe } from '@godwit/lab/client/probe';
import { startWitness, type Witness } from '@godwit/lab/client/witness';
import { ApiFailure, type OpenStackClient, signIn } from '@godwit/lab/cloud/openstack-client';
import { type HostSpec, type LabPlan, labFiles, readLabPlan } from '@godwit/lab/lab-plan';
import { namespaceProcesses } from '@godwit/lab/network/namespace-processes';
import { parseOpenrc } from '@godwit/lab/openrc';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import type { SupervisorRequest } from '@godwit/lab/supervisor/control-protocol';
import { HostDisk } from './host-disk.ts';

const run = promisify(execFile);
const godwit = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'bin', 'godwit');

export type Server = {
  readonly id: string;
  readonly status: string;
  readonly fault?: { readonly message: string };
  readonly addresses: Readonly<Record<string, readonly { readonly addr: string }[]>>;
  readonly 'OS-EXT-SRV-ATTR:host': string;
  readonly 'OS-EXT-STS:task_state': string | null;
};

export type Migration = {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly outcome: MigrationOutcome | null;
  readonly waysOut: readonly { readonly kind: 'wait' | 'fence'; readonly host: string; readonly sentence: string }[];
  readonly finishedAt: string | null;
};

/** What one host has, told by the kernel and the file system, not by its agent. */
export type HostTraces = {
  readonly host: string;
  readonly qemus: number;
  /** Network devices beside those of a host without guests. */
  readonly devices: readonly string[];
  /** Listening TCP ports beside those of a host without guests. */
  readonly ports: readonly string[];
  /** Files of the guest in the host's own directories. */
  readonly files: readonly string[];
};

/** A guest of 96 MiB takes about ten seconds over such a cable: time enough to break something while it is copied. */
const SLOW_CABLE = ['rate', '30mbit', 'burst', '64kb', 'latency', '100ms'] as const;
const LOOK_EVERY_MS = 25;
const ANSWER_MS = 3_000;

/** Resolves with the first value that is not undefined; rejects, saying what was waited for, when the deadline has passed. */
export async function until<Value>(what: string, deadlineMs: number, look: () => Promise<Value | undefined>): Promise<Value> {
  for (const end = performance.now() + deadlineMs; ; await delay(LOOK_EVERY_MS)) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`${what}: not so within ${deadlineMs / 1000} s`);
  }
}

const HOSTS = ['node1', 'node2'] as const;
/** Of the simulated hosts, whose moves take the turns of others: a guest of 96 MiB takes three minutes over such a link. */
const SIMULATED_TIMINGS = { dirtyBytesPerSecond: 0, bandwidthBytesPerSecond: 500_000 };
/** Files without blocks: only what is written takes room. */
const STATE_MIB = 256;
/** A flavor asks for a GiB. */
const POOL_MIB = 3_072;

/** The two disks of a host. */
export type HostDisks = {
  /** Journals, run directories, records of moves. */
  readonly state: HostDisk;
  /** Its local pool. */
  readonly pool: HostDisk;
};

export class ChaosLab {
  readonly plan: LabPlan;
  readonly admin: OpenStackClient;
  readonly probe: ClientProbe;
  readonly witness: Witness;
  /** Devices and ports of hosts that have no guest. */
  readonly #bare = new Map<string, { readonly devices: ReadonlySet<string>; readonly ports: ReadonlySet<string> }>();

  readonly #disks: ReadonlyMap<string, HostDisks>;

  private constructor(plan: LabPlan, disks: ReadonlyMap<string, HostDisks>, admin: OpenStackClient, probe: ClientProbe, witness: Witness) {
    this.plan = plan;
    this.#disks = disks;
    this.admin = admin;
    this.probe = probe;
    this.witness = witness;
  }

  /** A lab of two hosts in `dir`, without image locks and with fault points, each host on disks of its own. Resolves when it is up and watched from outside. */
  static async up(dir: string): Promise<ChaosLab> {
    const disks = new Map<string, HostDisks>();
    const labDir = path.join(dir, 'lab');
    try {
      await mkdir(labDir, { recursive: true });
      // PostgreSQL runs as another user.
      await chmod(dir, 0o755);
      for (const name of HOSTS) {
        const mount = path.join(dir, 'mounts', name);
        const state = await HostDisk.make(mount, path.join(dir, 'disks', name), STATE_MIB);
        disks.set(name, { state, pool: await HostDisk.make(path.join(mount, 'local'), path.join(dir, 'disks', `${name}-pool`), POOL_MIB) });
        await symlink(mount, path.join(labDir, name));
      }
      await run(godwit, ['lab', 'up', '--dir', labDir, '--hosts', String(HOSTS.length), '--simulated', '2', '--fault-injection'], {
        timeout: 180_000,
        env: { ...process.env, GODWIT_SIMULATED_TIMINGS: JSON.stringify(SIMULATED_TIMINGS) },
      });
      for (const name of ['controller.json', 'controller-2.json']) await limit(path.join(labDir, name));
      const plan = await readLabPlan(await realpath(labDir));
      const credentials = parseOpenrc(await readFile(path.join(labDir, 'openrc.sh'), 'utf8'));
      if (plan === undefined || credentials === undefined) throw new Error(`the lab in ${labDir} left no plan or no openrc.sh`);
      const probe = await startProbe(plan.clientNamespace);
      const witness = await startWitness(plan.fabricNamespace).catch(async (error: unknown) => {
        await probe.stop();
        throw error;
      });
      const lab = new ChaosLab(plan, disks, await signIn(credentials), probe, witness);
      await lab.tell({ op: 'restart', process: 'controller' });
      for (const host of plan.hosts) lab.#bare.set(host.name, await network(host));
      return lab;
    } catch (error) {
      await run(godwit, ['lab', 'down', '--dir', labDir], { timeout: 60_000 }).catch(() => {});
      await removeDisks(disks);
      throw error;
    }
  }

  async down(): Promise<void> {
    await this.leave();
    await run(godwit, ['lab', 'down', '--dir', this.plan.dir], { timeout: 60_000 });
    await removeDisks(this.#disks);
  }

  disks(host: string): HostDisks {
    const found = this.#disks.get(host);
    if (found === undefined) throw new Error(`the lab has no host ${host}`);
    return found;
  }

  /** Stops looking, and leaves the lab for a look. */
  async leave(): Promise<void> {
    await this.probe.stop();
    await this.witness.stop().catch(() => {});
  }

  /** Copies the logs of the lab's processes, and of its guests' QEMUs. */
  async keepTraces(target: string): Promise<void> {
    await cp(labFiles(this.plan.dir).logs, path.join(target, 'logs'), { recursive: true });
    for (const host of this.plan.hosts)
      await cp(await realpath(host.stateDir), path.join(target, host.name), {
        recursive: true,
        filter: async (file) => (await stat(file)).isDirectory() || /\.(log|json|jsonl)$/.test(file),
      }).catch(() => {});
  }

  readonly tell = (request: SupervisorRequest) => askSupervisor(this.plan.dir, request);

  // ── the cloud, as its users see it; a controller that was just killed or frozen is asked again ──

  async ask<Answer>(
    service: 'compute' | 'godwit' | 'placement',
    method: string,
    url: string,
    body?: object,
    patienceMs = 45_000,
  ): Promise<Answer> {
    for (const end = performance.now() + patienceMs; ; await delay(100)) {
      try {
        return await this.admin.request<Answer>(service, method, url, { timeoutMs: ANSWER_MS, ...(body && { body }) });
      } catch (error) {
        const passing = !(error instanceof ApiFailure) || error.status >= 500;
        if (!passing || performance.now() > end) throw error;
      }
    }
  }

  readonly server = async (id: string): Promise<Server> =>
    (await this.ask<{ readonly server: Server }>('compute', 'GET', `/servers/${id}`)).server;

  readonly migration = async (id: string): Promise<Migration> =>
    (await this.ask<{ readonly migration: Migration }>('godwit', 'GET', `/migrations/${id}`)).migration;

  async newestMigration(serverId: string): Promise<string | undefined> {
    const { migrations } = await this.ask<{ readonly migrations: readonly Migration[] }>(
      'godwit',
      'GET',
      `/migrations?server=${serverId}&limit=1`,
    );
    return migrations[0]?.id;
  }

  /** Hosts that claim something for the server. */
  async claims(serverId: string): Promise<readonly string[]> {
    const { allocations } = await this.ask<{ readonly allocations: Readonly<Record<string, unknown>> }>(
      'placement',
      'GET',
      `/allocations/${serverId}`,
    );
    const { resource_providers } = await this.ask<{
      readonly resource_providers: readonly { readonly uuid: string; readonly name: string }[];
    }>('placement', 'GET', '/resource_providers');
    return Object.keys(allocations).map((uuid) => resource_providers.find((one) => one.uuid === uuid)?.name ?? uuid);
  }

  /** Whether the scheduler would let a live migration of the server go there now. */
  async mayMoveTo(serverId: string, host: string): Promise<boolean> {
    type Verdicts = { readonly hosts: readonly { readonly name: string; readonly verdict: string }[] };
    const { hosts } = await this.ask<Verdicts>('godwit', 'GET', `/servers/${serverId}/destinations`);
    return hosts.some(({ name, verdict }) => name === host && verdict === 'passes');
  }

  async isUp(host: string, since: Date): Promise<boolean> {
    const { services } = await this.ask<{
      readonly services: readonly { readonly state: string; readonly updated_at: string | null }[];
    }>('compute', 'GET', `/os-services?host=${host}`);
    const [service] = services;
    return service?.state === 'up' && new Date(`${service.updated_at ?? ''}Z`) > since;
  }

  // ── the hosts, as the kernel and the disks show them ──

  host(name: string): HostSpec {
    const found = this.plan.hosts.find((one) => one.name === name);
    if (found === undefined) throw new Error(`the lab has no host ${name}`);
    return found;
  }

  other(name: string): string {
    return this.plan.hosts.find((one) => one.name !== name)?.name ?? '';
  }

  /** The QEMUs of this server on a host, read from the kernel. */
  async qemus(host: string, serverId: string): Promise<readonly number[]> {
    const found: number[] = [];
    for (const pid of await namespaceProcesses(this.host(host).namespace)) {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      if (words[0]?.includes('qemu-system') === true && words.some((word) => word.includes(serverId))) found.push(pid);
    }
    return found;
  }

  async traces(name: string, serverId: string): Promise<HostTraces> {
    const host = this.host(name);
    const [now, bare] = [await network(host), this.#bare.get(name)];
    const files = (await readdir(host.stateDir, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && path.join(entry.parentPath, entry.name).includes(serverId))
      // The last words of a QEMU that has ended are kept for whoever asks why.
      .filter((entry) => !['qemu.log', 'pid.json', 'spec.json'].includes(entry.name))
      .map((entry) => path.relative(host.stateDir, path.join(entry.parentPath, entry.name)));
    return {
      host: name,
      qemus: (await this.qemus(name, serverId)).length,
      devices: [...now.devices].filter((one) => bare?.devices.has(one) !== true).sort(),
      ports: [...now.ports].filter((one) => bare?.ports.has(one) !== true).sort(),
      files: files.sort(),
    };
  }

  // ── fault points ──

  #pointFile(process: string, point: string): string {
    return path.join(this.plan.dir, 'fault-points', process, point);
  }

  async arm(process: string, point: string): Promise<void> {
    const file = this.#pointFile(process, point);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, '');
  }

  disarm(process: string, point: string): Promise<void> {
    return rm(this.#pointFile(process, point), { force: true });
  }

  disarmAll(): Promise<void> {
    return rm(path.join(this.plan.dir, 'fault-points'), { recursive: true, force: true });
  }

  /** Follows a process's log from now on; resolves to the first line that says so. */
  async followLog(process: string): Promise<{ readonly line: (text: string) => Promise<string | undefined> }> {
    const file = path.join(labFiles(this.plan.dir).logs, `${process}.log`);
    const from = (await stat(file).catch(() => undefined))?.size ?? 0;
    return {
      line: async (text) => {
        const handle = await open(file).catch(() => undefined);
        if (handle === undefined) return undefined;
        try {
          const { size } = await handle.stat();
          const buffer = Buffer.alloc(Math.max(0, size - from));
          await handle.read(buffer, 0, buffer.length, from);
          return buffer
            .toString()
            .split('\n')
            .find((line) => line.includes(text));
        } finally {
          await handle.close();
        }
      },
    };
  }

  // ── cables ──

  async slowCables(): Promise<void> {
    for (const host of this.plan.hosts) await run('ip', [...this.#qdisc('replace', host), 'root', 'tbf', ...SLOW_CABLE]);
  }

  async fastCables(): Promise<void> {
    for (const host of this.plan.hosts) await run('ip', [...this.#qdisc('del', host), 'root']).catch(() => {});
  }

  #qdisc(verb: string, host: HostSpec): readonly string[] {
    return ['netns', 'exec', this.plan.fabricNamespace, 'tc', 'qdisc', verb, 'dev', host.managementPort];
  }

  /** The processes of the embedded PostgreSQL: the postmaster and its children. */
  async databaseProcesses(): Promise<readonly number[]> {
    const [first = ''] = (await readFile(path.join(this.plan.dir, 'controller/postgres/data/postmaster.pid'), 'utf8')).split('\n');
    const { stdout } = await run('pgrep', ['-P', first]).catch(() => ({ stdout: '' }));
    return [Number(first), ...stdout.split('\n').filter(Boolean).map(Number)];
  }
}

/** One move at a time, by the controllers' configuration. */
async function limit(file: string): Promise<void> {
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), limits: { total: 1 } }));
}

async function removeDisks(disks: ReadonlyMap<string, HostDisks>): Promise<void> {
  for (const { state, pool } of disks.values()) {
    await pool.remove();
    await state.remove();
  }
}

async function network(host: HostSpec): Promise<{ readonly devices: ReadonlySet<string>; readonly ports: ReadonlySet<string> }> {
  const links = JSON.parse((await run('ip', ['-n', host.namespace, '-json', 'link', 'show'])).stdout) as readonly {
    readonly ifname: string;
  }[];
  const { stdout } = await run('ip', ['netns', 'exec', host.namespace, 'ss', '-Hltn']);
  const ports = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(/\s+/)[3] ?? '');
  return { devices: new Set(links.map(({ ifname }) => ifname)), ports: new Set(ports) };
}
