import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { LabPlan } from '@godwit/lab/lab-plan';
import { addresses } from '@godwit/lab/network/topology';
import { buildReaper } from '@godwit/lab/supervisor/build-reaper';
import { waitFor } from '@godwit/lab/wait-for';
import { makePeerCertificates } from './certificates.ts';
import { domainXml } from './domain-xml.ts';
import { type LibvirtHost, type QemuEvent, startLibvirt } from './libvirt-host.ts';
import type { PeerTimes } from './peer-move.ts';

const run = promisify(execFile);

/** What is taken of the specification of Godwit's own guest. */
export type SpecLike = {
  readonly vcpus: number;
  readonly ramMib: number;
  readonly machineType: string;
  readonly cpuModel: string;
  readonly accelerator: 'tcg' | 'kvm';
  readonly disks: readonly { readonly backing?: { readonly path: string } }[];
  readonly directBoot?: { readonly kernelPath: string; readonly initrdPath?: string; readonly commandLine: string };
};

const domain = 'peer';
/** Above what the network's pool gives out in a benchmark. */
const guestAddress = '10.88.0.250';
const eventsMs = 2_000;

/** Two libvirt daemons on the first two hosts of a lab, and one guest between them. */
export class PeerPair {
  readonly address = guestAddress;
  readonly version: string;
  readonly #hosts: readonly [LibvirtHost, LibvirtHost];
  readonly #certificates: string;
  #source = 0;

  private constructor(hosts: readonly [LibvirtHost, LibvirtHost], certificates: string, version: string) {
    this.#hosts = hosts;
    this.#certificates = certificates;
    this.version = version;
  }

  /** When it returns, libvirt's guest boots on the first host; its disk is on the lab's shared pool. */
  static async start(plan: LabPlan, spec: SpecLike): Promise<PeerPair> {
    const [first, second] = plan.hosts;
    const reaper = await buildReaper();
    const { directBoot, disks } = spec;
    const backing = disks[0]?.backing?.path;
    if (first === undefined || second === undefined || reaper === undefined || directBoot === undefined || backing === undefined)
      throw new Error('the comparison needs two hosts, a compiler, and a guest that boots a kernel and has a disk on an image');
    const dir = path.join(plan.dir, 'libvirt');
    const at = [first, second].map((host) => ({ name: host.name, namespace: host.namespace, address: managementAddress(plan, host.name) }));
    await makePeerCertificates(
      path.join(dir, 'tls'),
      at.map(({ address }) => address),
    );
    const started: LibvirtHost[] = [];
    try {
      for (const { name, namespace, address } of at)
        started.push(
          await startLibvirt({
            dir: path.join(dir, name),
            name,
            namespace,
            address,
            hostUuid: randomUUID(),
            reaper,
            certificates: path.join(dir, 'tls', address),
          }),
        );
      const [one, other] = started;
      if (one === undefined || other === undefined) throw new Error('two hosts were to start');
      const disk = path.join(plan.dir, 'shared', 'peer.qcow2');
      await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', backing, '-F', 'qcow2', disk]);
      const xml = path.join(dir, 'domain.xml');
      await mkdir(dir, { recursive: true });
      await writeFile(
        xml,
        domainXml({
          name: domain,
          uuid: randomUUID(),
          ramMib: spec.ramMib,
          vcpus: spec.vcpus,
          machineType: spec.machineType,
          // libvirt knows the models by their names without QEMU's versions of them.
          cpuModel: spec.cpuModel.replace(/-v\d+$/, ''),
          accelerator: spec.accelerator,
          kernel: directBoot.kernelPath,
          initrd: directBoot.initrdPath ?? '',
          commandLine: `${directBoot.commandLine.replace(/ ip=\S*/, '')} ip=${guestAddress}::${addresses.guestGateway}:255.255.255.0::eth0:off`,
          disk,
          backing,
          mac: '52:54:00:67:77:01',
          bridge: 'br0',
          tap: 'peer0',
        }),
      );
      await one.virsh('create', xml);
      return new PeerPair([one, other], path.join(dir, 'tls'), await one.virsh('version', '--daemon'));
    } catch (error) {
      for (const host of started) await host.close();
      throw error;
    }
  }

  /** `virsh migrate --live` to the other host. `limitMs`: its downtime limit; null: libvirt's own. Throws with virsh's words when it fails. */
  async move(options: { readonly limitMs: number | null; readonly tls: boolean }): Promise<PeerTimes> {
    const source = this.#hosts[this.#source === 0 ? 0 : 1];
    const destination = this.#hosts[this.#source === 0 ? 1 : 0];
    if (options.limitMs !== null) await source.virsh('migrate-setmaxdowntime', domain, String(options.limitMs));
    source.events();
    destination.events();
    const uri = options.tls
      ? `qemu+tls://${destination.address}/system?pkipath=${path.join(this.#certificates, source.address)}`
      : `qemu+tcp://${destination.address}/system`;
    const startedAt = performance.timeOrigin + performance.now();
    await source.virsh(
      'migrate',
      '--live',
      '--unsafe',
      ...(options.tls ? ['--tls'] : []),
      domain,
      uri,
      '--migrateuri',
      `tcp://${destination.address}`,
    );
    const wallMs = performance.timeOrigin + performance.now() - startedAt;
    this.#source = 1 - this.#source;
    const left: QemuEvent[] = [];
    const arrived: QemuEvent[] = [];
    const at = (events: readonly QemuEvent[], name: string, detail = ''): number | undefined =>
      events.find((event) => event.name === name && event.detail.includes(detail))?.atMs;
    // They come by another connection than virsh's end.
    await waitFor(
      'libvirt did not tell of the guest’s RESUME',
      async () => {
        left.push(...source.events());
        arrived.push(...destination.events());
        return at(arrived, 'RESUME') !== undefined && at(left, 'STOP') !== undefined && at(left, 'MIGRATION', 'completed') !== undefined;
      },
      eventsMs,
    );
    const running = at(arrived, 'RESUME') ?? Number.NaN;
    return {
      startToRunningMs: running - startedAt,
      wallMs,
      qemuTotalMs: (at(left, 'MIGRATION', 'completed') ?? Number.NaN) - (at(left, 'MIGRATION', 'setup') ?? Number.NaN),
      stopToResumeMs: running - (at(left, 'STOP') ?? Number.NaN),
    };
  }

  async close(): Promise<void> {
    for (const host of this.#hosts) {
      await host.virsh('destroy', domain).catch(() => undefined); // it is on the other one
      await host.close();
    }
  }
}

function managementAddress(plan: LabPlan, host: string): string {
  const index = plan.hosts.findIndex(({ name }) => name === host);
  return `10.77.0.${11 + index}`;
}
