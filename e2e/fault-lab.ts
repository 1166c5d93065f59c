import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { MigrationMeasures, MigrationOutcome } from '@godwit/domain/migration';
import { type ClientProbe, startProbe } from '@godwit/lab/client/probe';
import { startWitness, type Witness } from '@godwit/lab/client/witness';
import { describeViolation } from '@godwit/lab/client/witness-judge';
import { type OpenStackClient, signIn } from '@godwit/lab/cloud/openstack-client';
import { type HostSpec, type LabPlan, readLabPlan } from '@godwit/lab/lab-plan';
import { namespaceProcesses } from '@godwit/lab/network/namespace-processes';
import { parseOpenrc } from '@godwit/lab/openrc';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import type { SupervisorRequest } from '@godwit/lab/supervisor/control-protocol';
import { expect } from 'vitest';
import { eventually, type Lab, labUp } from './lab-harness.ts';

const run = promisify(execFile);

export type Server = {
  readonly id: string;
  readonly status: string;
  readonly fault?: { readonly message: string };
  readonly addresses: Readonly<Record<string, readonly { readonly addr: string; readonly 'OS-EXT-IPS-MAC:mac_addr': string }[]>>;
  readonly 'OS-EXT-SRV-ATTR:host': string;
  readonly 'OS-EXT-STS:task_state': string | null;
  readonly 'OS-EXT-STS:power_state': number;
};

export type Migration = {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly source: { readonly name: string };
  readonly destination: { readonly name: string } | null;
  readonly timeline: readonly { readonly what: string }[];
  readonly measures: MigrationMeasures;
  readonly outcome: MigrationOutcome | null;
  readonly waysOut: readonly {
    readonly kind: 'wait' | 'fence';
    readonly host: string;
    readonly sentence: string;
    readonly warning?: string;
  }[];
  readonly finishedAt: string | null;
};

export type ServerAction = { readonly action: string; readonly message: string | null };

/** What the disk writer of a guest is asked for: each record is counted once the device has said that it is on stable storage. */
const DISK_RECORDS_PER_SECOND = 20;
const BOOT_MS = 60_000;
const ENDS_MS = 120_000;
/** A guest of 96 MiB takes about ten seconds over such a cable: time enough to break something while it is copied. */
const SLOW_CABLE = ['rate', '30mbit', 'burst', '64kb', 'latency', '100ms'] as const;

/** A lab with one guest in it, what sees it from outside, and the hands that break things. */
export class FaultLab {
  readonly lab: Lab;
  readonly plan: LabPlan;
  readonly admin: OpenStackClient;
  readonly probe: ClientProbe;
  readonly witness: Witness;

  private constructor(lab: Lab, plan: LabPlan, admin: OpenStackClient, probe: ClientProbe, witness: Witness) {
    this.lab = lab;
    this.plan = plan;
    this.admin = admin;
    this.probe = probe;
    this.witness = witness;
  }

  static async up(hosts: number): Promise<FaultLab> {
    const lab = await labUp(hosts);
    try {
      const plan = await readLabPlan(lab.dir);
      const credentials = parseOpenrc(await readFile(path.join(lab.dir, 'openrc.sh'), 'utf8'));
      if (plan === undefined || credentials === undefined) throw new Error(`the lab in ${lab.dir} left no plan or no openrc.sh`);
      const probe = await startProbe(plan.clientNamespace);
      const witness = await startWitness(plan.fabricNamespace).catch(async (error: unknown) => {
        await probe.stop();
        throw error;
      });
      return new FaultLab(lab, plan, await signIn(credentials), probe, witness);
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  async down(): Promise<void> {
    await this.probe.stop();
    // The witness's word counts in each test; here it only has to end.
    await this.witness.stop().catch(() => {});
    await this.lab.down();
  }

  readonly break = (request: SupervisorRequest) => askSupervisor(this.lab.dir, request);

  /** A guest with a disk, writing numbered records; resolves when it answers the client outside. */
  async guest(name: string): Promise<string> {
    await this.lab.openstack(`server create --image godwit-demo --flavor demo.tiny --network demo --wait ${name}`);
    const { id } = await this.lab.openstackJson<{ readonly id: string }>(`server show ${name}`);
    await this.answers(id);
    return id;
  }

  readonly server = async (id: string): Promise<Server> =>
    (await this.admin.request<{ readonly server: Server }>('compute', 'GET', `/servers/${id}`)).server;

  readonly migration = async (id: string): Promise<Migration> =>
    (await this.admin.request<{ readonly migration: Migration }>('godwit', 'GET', `/migrations/${id}`)).migration;

  readonly actions = async (id: string): Promise<readonly ServerAction[]> =>
    (
      await this.admin.request<{ readonly instanceActions: readonly ServerAction[] }>(
        'compute',
        'GET',
        `/servers/${id}/os-instance-actions`,
      )
    ).instanceActions;

  async act(id: string, body: object): Promise<void> {
    await this.admin.request('compute', 'POST', `/servers/${id}/action`, { body });
  }

  async console(id: string): Promise<string> {
    const body = { 'os-getConsoleOutput': {} };
    return (await this.admin.request<{ readonly output: string }>('compute', 'POST', `/servers/${id}/action`, { body })).output;
  }

  /** Resolves when the server shows this status and nothing is under way; fails at once when it shows ERROR instead. */
  async becomes(id: string, status: string, deadlineMs = BOOT_MS): Promise<Server> {
    return eventually(
      () => this.server(id),
      (one) => one.status === status && one['OS-EXT-STS:task_state'] === null,
      deadlineMs,
    );
  }

  /** Whatever a test before has left: a guest that runs and answers. */
  async runs(id: string): Promise<void> {
    const { status } = await eventually(
      () => this.server(id),
      (one) => one['OS-EXT-STS:task_state'] === null,
      BOOT_MS,
    );
    if (status === 'PAUSED') await this.act(id, { unpause: null });
    else if (status === 'SHUTOFF') await this.act(id, { 'os-start': null });
    else if (status === 'ERROR') await this.act(id, { reboot: { type: 'HARD' } });
    await this.becomes(id, 'ACTIVE');
    await this.answers(id);
  }

  async address(id: string): Promise<string> {
    return Object.values((await this.server(id)).addresses).flat()[0]?.addr ?? '';
  }

  /** The guest answers outside; its disk writer is at work. */
  async answers(id: string): Promise<void> {
    const address = await this.address(id);
    await eventually(
      () => this.probe.status(address).catch(() => null),
      (status) => status !== null,
      BOOT_MS,
    );
    await this.probe.control(address, `disk ${DISK_RECORDS_PER_SECOND}`);
    await eventually(
      () => this.probe.status(address).catch(() => null),
      (status) => (status?.disk.acknowledged ?? 0) > 0,
      BOOT_MS,
    );
  }

  /** Starts a live migration over a slow cable and resolves with its id when QEMU copies. */
  async copying(id: string): Promise<string> {
    const { 'OS-EXT-SRV-ATTR:host': source } = await this.server(id);
    for (const host of this.plan.hosts) if (host.name !== source) await this.slow(host);
    const move = await this.move(id);
    const seen = await eventually(
      () => this.migration(move),
      (one) => one.finishedAt !== null || (one.phase === 'copying' && one.timeline.some(({ what }) => what === 'QEMU active')),
      BOOT_MS,
    );
    expect(seen, 'the move was over before it could be broken').toMatchObject({ phase: 'copying', finishedAt: null });
    return move;
  }

  /** Asks for a live migration to a host of the scheduler's choice; its id. */
  async move(id: string): Promise<string> {
    await this.act(id, { 'os-migrateLive': { host: null, block_migration: 'auto' } });
    const { migrations } = await this.admin.request<{ readonly migrations: readonly Migration[] }>(
      'godwit',
      'GET',
      `/migrations?server=${id}&limit=1`,
    );
    const [newest] = migrations;
    if (newest === undefined) throw new Error('the cloud accepted a migration and has no record of it');
    return newest.id;
  }

  ended(move: string, deadlineMs = ENDS_MS): Promise<Migration> {
    return eventually(
      () => this.migration(move),
      (one) => one.finishedAt !== null,
      deadlineMs,
    );
  }

  host(name: string): HostSpec {
    const found = this.plan.hosts.find((one) => one.name === name);
    if (found === undefined) throw new Error(`the lab has no host ${name}`);
    return found;
  }

  async slow(host: HostSpec): Promise<void> {
    await run('ip', [
      'netns',
      'exec',
      this.plan.fabricNamespace,
      'tc',
      'qdisc',
      'replace',
      'dev',
      host.managementPort,
      'root',
      'tbf',
      ...SLOW_CABLE,
    ]);
  }

  /** All cables plugged and fast again, every agent and the controller running, clocks right. */
  async mend(): Promise<void> {
    for (const host of this.plan.hosts) {
      await run('ip', ['netns', 'exec', this.plan.fabricNamespace, 'tc', 'qdisc', 'del', 'dev', host.managementPort, 'root']).catch(
        () => {},
      );
      for (const cable of ['management', 'fabric'] as const) await this.break({ op: 'cable', host: host.name, cable, state: 'up' });
    }
  }

  /** Resolves when the agent of a host that was started again is heard of: by its new process, not by an old sign of life. */
  async up(host: string): Promise<void> {
    const since = new Date();
    await eventually(
      async () => {
        const { services } = await this.admin.request<{
          readonly services: readonly { readonly host: string; readonly state: string; readonly updated_at: string | null }[];
        }>('compute', 'GET', `/os-services?host=${host}`);
        return services[0];
      },
      (service) => service?.state === 'up' && new Date(`${service.updated_at ?? ''}Z`) > since,
      60_000,
    );
  }

  /** The QEMUs of a host, read from the kernel. */
  async qemus(host: string): Promise<readonly number[]> {
    const found: number[] = [];
    for (const pid of await namespaceProcesses(this.host(host).namespace)) {
      const program = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')[0] ?? '';
      if (program.includes('qemu-system')) found.push(pid);
    }
    return found;
  }

  /** `kill -9` of the one QEMU that a host has. */
  async killQemu(host: string): Promise<void> {
    const [pid, ...more] = await this.qemus(host);
    expect(more, `${host} has more than one QEMU`).toEqual([]);
    if (pid === undefined) throw new Error(`${host} has no QEMU`);
    process.kill(pid, 'SIGKILL');
  }

  /**
   * What must hold after every fault, whatever it was: one QEMU where the server says it is and none elsewhere, nothing claimed twice, nothing under way, no two copies ever seen on the wire.
   * `runs` false: no QEMU at all.
   */
  async settled(id: string, runs: boolean): Promise<Server> {
    const server = await eventually(
      () => this.server(id),
      (one) => one['OS-EXT-STS:task_state'] === null,
      BOOT_MS,
    );
    const here = server['OS-EXT-SRV-ATTR:host'];
    await eventually(
      () => Promise.all(this.plan.hosts.map(async ({ name }) => ({ name, qemus: (await this.qemus(name)).length }))),
      (hosts) => hosts.every(({ name, qemus }) => qemus === (runs && name === here ? 1 : 0)),
      BOOT_MS,
    );
    const { allocations } = await this.admin.request<{ readonly allocations: Readonly<Record<string, unknown>> }>(
      'placement',
      'GET',
      `/allocations/${id}`,
    );
    expect(Object.keys(allocations), 'claims').toEqual([await this.providerOf(here)]);
    expect(this.witness.isWatching).toBe(true);
    expect(this.witness.violations.map(describeViolation)).toEqual([]);
    return server;
  }

  /** The guest's disk holds every record that it was told was stable. */
  async diskIsWhole(id: string): Promise<void> {
    const verdict = await this.probe.verifyDisk(await this.address(id));
    expect(verdict).toMatchObject({ ok: true, torn: 0, missing: 0 });
  }

  private async providerOf(host: string): Promise<string> {
    const { resource_providers } = await this.admin.request<{ readonly resource_providers: readonly { readonly uuid: string }[] }>(
      'placement',
      'GET',
      `/resource_providers?name=${host}`,
    );
    return resource_providers[0]?.uuid ?? '';
  }
}
