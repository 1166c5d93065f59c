import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { waitFor } from '@godwit/lab/wait-for';

const run = promisify(execFile);

/** An event of some QEMU of this host, with QEMU's own time of it (Unix, ms). */
export type QemuEvent = { readonly name: string; readonly atMs: number; readonly detail: string };

/** A libvirt daemon on one of the lab's hosts, and what one may ask of it. */
export type LibvirtHost = {
  readonly namespace: string;
  readonly address: string;
  /** Runs `virsh` on that host; resolves with what it printed, throws with its words. */
  readonly virsh: (...words: readonly string[]) => Promise<string>;
  /** Since the last call. */
  readonly events: () => readonly QemuEvent[];
  readonly close: () => Promise<void>;
};

const startMs = 30_000;
const virshMs = 120_000;
/** Debian's libvirtd does not start without this account, even if its QEMUs run by another; its packages make it only where it is also set up to run at boot. Seen by the daemon alone. */
/** Where libvirt keeps what it knows: each host has its own, mounted over these in a mount namespace of its daemon. */
const ownPlaces = ['/run/libvirt', '/var/lib/libvirt', '/var/cache/libvirt', '/var/log/libvirt', '/etc/libvirt'];

/**
 * Starts libvirt's QEMU daemon in the network namespace of one of the lab's hosts, under `reaper`: its guests are orphans, which PID 1 may leave as zombies for seconds, and libvirt waits
 * for them. Nothing of the machine's own libvirt is touched. When it returns, the daemon answers and its QEMUs' events are listened to.
 */
export async function startLibvirt(options: {
  readonly dir: string;
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly hostUuid: string;
  readonly reaper: string;
  /** As `makePeerCertificates` leaves them. */
  readonly certificates: string;
}): Promise<LibvirtHost> {
  const { dir, name, namespace, address, certificates } = options;
  const places = ownPlaces.map((place) => ({ place, own: path.join(dir, place.replaceAll('/', '_')) }));
  for (const { place, own } of places) {
    await mkdir(place, { recursive: true });
    await mkdir(own, { recursive: true });
  }
  const etc = path.join(dir, '_etc_libvirt');
  const daemonConfig = path.join(etc, 'libvirtd.conf');
  const sockets = path.join(dir, 'sockets');
  await mkdir(sockets, { recursive: true });
  await mkdir(path.join(etc, 'qemu'), { recursive: true });
  await writeFile(daemonConfig, lines(daemonSettings({ ...options, sockets })));
  await writeFile(path.join(etc, 'qemu.conf'), lines(qemuSettings(certificates)));
  const accounts = await Promise.all(
    [
      { place: '/etc/passwd', more: 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' },
      { place: '/etc/group', more: 'libvirt-qemu:x:64055:' },
      // It asks for its own name again and again, and a name service that does not answer would count as its time.
      { place: '/etc/hosts', more: `${address} ${name}` },
    ].map(async ({ place, more }) => {
      const own = path.join(dir, path.basename(place));
      await writeFile(own, `${(await readFile(place, 'utf8')).trimEnd()}\n${more}\n`);
      return { place, own };
    }),
  );
  const pidFile = path.join(dir, 'libvirtd.pid');
  const script = [
    ...[...places, ...accounts].map(({ place, own }) => `mount --bind ${own} ${place}`),
    `hostname ${name}`,
    `exec libvirtd --listen --config ${daemonConfig} --pid-file ${pidFile}`,
  ].join(' && ');
  const log = openSync(path.join(dir, 'libvirtd.log'), 'a');
  const inside = ['netns', 'exec', namespace];
  const daemon = spawn('ip', [...inside, 'unshare', '--mount', '--uts', options.reaper, 'sh', '-c', script], {
    stdio: ['ignore', log, log],
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
  });
  closeSync(log);
  const uri = `qemu:///system?socket=${path.join(sockets, 'libvirt-sock')}`;
  /** The daemon itself: the reaper above it ends with it. */
  const stop = async (): Promise<void> => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    const gone = once(daemon, 'exit');
    const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
    process.kill(pid > 0 ? pid : (daemon.pid ?? 0), 'SIGTERM');
    await gone;
  };
  const virsh = async (...words: readonly string[]): Promise<string> => {
    const { stdout } = await run('ip', [...inside, 'virsh', '--quiet', '--connect', uri, ...words], { timeout: virshMs });
    return stdout.trim();
  };
  try {
    await waitFor(
      `libvirtd on ${name} does not answer (${path.join(dir, 'libvirtd.log')})`,
      async () => {
        if (daemon.exitCode !== null)
          throw new Error(`libvirtd on ${name} ended: ${await readFile(path.join(dir, 'libvirtd.log'), 'utf8')}`);
        return virsh('version').then(
          () => true,
          () => false,
        );
      },
      startMs,
      200,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  let heard: QemuEvent[] = [];
  // Line by line: into a pipe virsh would write only when its buffer is full.
  const listener = spawn('ip', [...inside, 'stdbuf', '-oL', 'virsh', '--connect', uri, 'qemu-monitor-event', '--loop'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  createInterface({ input: listener.stdout }).on('line', (line) => {
    const [, event, seconds, microseconds, detail] = /^event (\S+) at (\d+)\.(\d{6}) for domain [^:]*: (.*)$/.exec(line) ?? [];
    if (event !== undefined) heard.push({ name: event, atMs: Number(seconds) * 1000 + Number(microseconds) / 1000, detail: detail ?? '' });
  });
  return {
    namespace,
    address,
    virsh,
    events: () => {
      const all = heard;
      heard = [];
      return all;
    },
    close: async () => {
      await end(listener);
      await stop();
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

const lines = (settings: Readonly<Record<string, string | number | readonly string[]>>): string =>
  Object.entries(settings)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
    .join('');

const daemonSettings = (options: {
  readonly address: string;
  readonly hostUuid: string;
  readonly certificates: string;
  readonly sockets: string;
}) => ({
  listen_addr: options.address,
  listen_tls: 1,
  listen_tcp: 1,
  auth_tcp: 'none',
  auth_tls: 'none',
  auth_unix_ro: 'none',
  auth_unix_rw: 'none',
  key_file: path.join(options.certificates, 'server-key.pem'),
  cert_file: path.join(options.certificates, 'server-cert.pem'),
  ca_file: path.join(options.certificates, 'cacert.pem'),
  unix_sock_dir: options.sockets,
  // Hosts of a lab are one machine: libvirt refuses a move between two of one identity.
  host_uuid: options.hostUuid,
});

/** Nothing that the lab's hosts have not got (cgroups, security drivers, a log daemon), and nothing that is work for a move. */
const qemuSettings = (certificates: string) => ({
  user: 'root',
  group: 'root',
  dynamic_ownership: 0,
  remember_owner: 0,
  security_driver: 'none',
  cgroup_controllers: [],
  namespaces: [],
  stdio_handler: 'file',
  migrate_tls_x509_cert_dir: certificates,
  migrate_tls_x509_verify: 1,
  // Apart from the agents' own range.
  migration_port_min: 49_300,
  migration_port_max: 49_400,
});
