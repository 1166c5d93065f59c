import { access, constants, mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Finding, ok, problem, warning } from '@godwit/domain/doctor/finding';
import { certificateFinding, roomFinding } from '@godwit/domain/doctor/rules';
import { clockIsSynchronised } from '../host-clock.ts';
import { loadHostIdentity } from '../identity/host-identity.ts';
import { type LoadedConfig, loadAgentConfig } from '../load-agent-config.ts';
import { chooseAccelerator } from '../qemu/accelerator.ts';
import { compareVersions, parseQemuVersion } from '../qemu/qemu-version.ts';
import { openPool, poolFacts } from '../storage/pool.ts';
import { type HostTools, hostTools } from './host-tools.ts';

const qemuBinary = 'qemu-system-x86_64';
/** Debian 12's own 7.2 corrupts guests that move under TCG. */
const oldestQemu = [10, 0, 0] as const;
const certificateWarnDays = 9;
const bootMs = 10_000;

/** Everything that an agent needs of this host, looked at without changing it; a pool's folders are made when they are not there, as the agent would. A guest is booted once to see whether KVM works. */
export async function examineHost(file: string, tools: HostTools = hostTools): Promise<readonly Finding[]> {
  let config: LoadedConfig;
  try {
    config = loadAgentConfig(file);
  } catch (error) {
    return [
      problem(
        'configuration',
        file,
        `${(error as Error).message}.`,
        'Mend the lines named; the file as it was installed explains every setting.',
      ),
    ];
  }
  const found = await Promise.all([
    examineQemu(config, tools),
    examineTools(tools),
    examineBridge(config, tools),
    examinePools(config),
    examinePorts(config, tools),
    examineController(config, tools),
    examineClock(tools),
    examineState(config),
  ]);
  return [ok('configuration', file, `${file} is a configuration for ${config.hostName}.`), ...found.flat()];
}

async function examineQemu(config: LoadedConfig, tools: HostTools): Promise<readonly Finding[]> {
  const install = 'Install QEMU 10 or newer; on Debian 12: apt install -t bookworm-backports qemu-system-x86 qemu-utils.';
  let version: string;
  try {
    version = /version (\S+)/.exec(await tools.run(qemuBinary, ['--version']))?.[1] ?? '';
    await tools.run('qemu-img', ['--version']);
  } catch (error) {
    return [problem('qemu', '', `QEMU or qemu-img does not start: ${(error as Error).message.split('\n')[0]}.`, install)];
  }
  if (compareVersions(parseQemuVersion(version), oldestQemu) < 0) return [problem('qemu', '', `QEMU is version ${version}.`, install)];
  return [ok('qemu', '', `QEMU is version ${version}.`), await examineKvm(config)];
}

async function examineKvm(config: LoadedConfig): Promise<Finding> {
  const remedy =
    'Turn virtualization on in the firmware (or nested virtualization in the hypervisor below), load kvm_intel or kvm_amd, and see that /dev/kvm is readable and writable.';
  // Not the agent's directory: its own throwaway guests are none of ours.
  const stateDir = await mkdtemp(join(tmpdir(), 'gwdoc-'));
  try {
    const { accelerator, reason } = await chooseAccelerator({
      wanted: config.accelerator ?? 'auto',
      qemuBinary,
      stateDir,
      deadlineMs: bootMs,
    });
    return accelerator === 'kvm'
      ? ok('kvm', '', `KVM works: ${reason}.`)
      : warning('kvm', '', `Guests run without KVM, many times slower: ${reason}.`, remedy);
  } catch (error) {
    return problem('kvm', '', `No guest can be run: ${(error as Error).message}.`, remedy);
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function examineTools(tools: HostTools): Promise<readonly Finding[]> {
  const needed = [
    ['ip', ['-V'], 'iproute2'],
    ['bridge', ['-V'], 'iproute2'],
    ['tc', ['-V'], 'iproute2'],
    ['nft', ['--version'], 'nftables'],
  ] as const;
  const missing = await Promise.all(
    needed.map(async ([program, args, from]) =>
      tools.run(program, args).then(
        () => [],
        () => [problem('programs', program, `${program} is not there.`, `apt install ${from}`)],
      ),
    ),
  );
  const tun = await access('/dev/net/tun', constants.R_OK | constants.W_OK).then(
    () => [],
    () => [problem('tun', '', '/dev/net/tun cannot be opened: guests would have no network.', 'modprobe tun, and run the agent as root.')],
  );
  const found = [...missing.flat(), ...tun];
  return found.length > 0 ? found : [ok('programs', '', 'ip, bridge, tc, nft and /dev/net/tun are there.')];
}

async function examineBridge(config: LoadedConfig, tools: HostTools): Promise<readonly Finding[]> {
  if (config.driver === 'simulated') return [];
  type Link = {
    readonly ifname: string;
    readonly operstate?: string;
    readonly master?: string;
    readonly linkinfo?: { readonly info_kind?: string };
  };
  let links: readonly Link[];
  try {
    links = JSON.parse(await tools.run('ip', ['-j', '-d', 'link', 'show'])) as readonly Link[];
  } catch (error) {
    return [
      problem(
        'bridge',
        config.bridge.name,
        `The interfaces cannot be listed: ${(error as Error).message.split('\n')[0]}.`,
        'apt install iproute2',
      ),
    ];
  }
  const { name, uplink } = config.bridge;
  const bridge = links.find((link) => link.ifname === name);
  const up = uplink === undefined ? undefined : links.find((link) => link.ifname === uplink);
  const findings: Finding[] = [];
  if (bridge === undefined) findings.push(ok('bridge', name, `The bridge ${name} is not there yet: the agent makes it.`));
  else if (bridge.linkinfo?.info_kind !== 'bridge')
    findings.push(
      problem('bridge', name, `${name} is there, and is no bridge.`, 'Name another one as bridge.name, or take that interface away.'),
    );
  else findings.push(ok('bridge', name, `The bridge ${name} is there.`));
  if (config.bridge.openvswitch !== undefined) findings.push(await examineSwitch(config.bridge.openvswitch, tools));
  else if (uplink === undefined)
    findings.push(
      warning(
        'bridge',
        name,
        `The bridge ${name} has no uplink: guests reach no other host.`,
        'Name the interface towards the other hosts as bridge.uplink.',
      ),
    );
  else if (up === undefined)
    findings.push(
      problem('bridge', uplink, `The uplink ${uplink} does not exist.`, 'ip -br link shows what there is; correct bridge.uplink.'),
    );
  else if (up.master !== undefined && up.master !== name)
    findings.push(
      problem(
        'bridge',
        uplink,
        `The uplink ${uplink} belongs to ${up.master}.`,
        `Take it out of ${up.master}, or name another uplink: it is never taken away by itself.`,
      ),
    );
  else if (up.operstate === 'DOWN')
    findings.push(warning('bridge', uplink, `The uplink ${uplink} has no carrier.`, 'Look at its cable or switch port.'));
  else findings.push(ok('bridge', uplink, `The uplink ${uplink} is there.`));
  return findings;
}

const examineSwitch = (name: string, tools: HostTools): Promise<Finding> =>
  tools.run('ovs-vsctl', ['--timeout=8', 'br-exists', name]).then(
    () => ok('bridge', name, `The Open vSwitch bridge ${name} is there.`),
    () =>
      problem(
        'bridge',
        name,
        `The Open vSwitch bridge ${name} cannot be used.`,
        'ovs-vsctl list-br shows what there is; it is not made by the agent. apt install openvswitch-switch',
      ),
  );

const cephRemedy =
  "apt install ceph-common qemu-block-extra; a user with mon 'profile rbd', osd 'profile rbd pool=<pool>' whose keyring the configuration finds.";

async function examinePools(config: LoadedConfig): Promise<readonly Finding[]> {
  if (config.driver === 'simulated') return [];
  if (config.pools.length === 0)
    return [problem('pools', '', 'No pool is configured: no instance can have a disk here.', 'Name a directory under pools.')];
  const found = await Promise.all(
    config.pools.map(async (one): Promise<readonly Finding[]> => {
      try {
        const pool = await openPool(one);
        const { freeBytes, totalBytes } = await poolFacts(pool);
        const where = pool.ceph === undefined ? one.path : `${pool.ceph.pool} of Ceph`;
        const findings: Finding[] = [roomFinding(one.name, `The ${one.kind} pool ${one.name} (${where})`, freeBytes, totalBytes)];
        if (one.kind === 'shared' && (await stat(pool.path)).dev === (await stat(dirname(pool.path))).dev)
          findings.push(
            warning(
              'mount',
              one.name,
              `The shared pool ${one.name} is no mount of its own: ${one.path} lies on the same file system as the directory above it.`,
              `Mount it (mountpoint ${one.path} says so afterwards), or every host has a pool of its own that only looks shared.`,
            ),
          );
        if (!pool.io.directIo && !pool.io.coherent)
          findings.push(
            problem(
              'direct-io',
              one.name,
              `The shared pool ${one.name}: ${pool.io.reason}, so that live migration with its disks is refused.`,
              'Use a file system with direct I/O (NFS has it), or set declaredCoherent: true if its caches agree between hosts.',
            ),
          );
        return findings;
      } catch (error) {
        return [
          problem(
            'pools',
            one.name,
            `${(error as Error).message}.`,
            one.kind === 'rbd' ? cephRemedy : `Make or mount ${one.path}, writable for the agent.`,
          ),
        ];
      }
    }),
  );
  return found.flat();
}

async function examinePorts(config: LoadedConfig, tools: HostTools): Promise<readonly Finding[]> {
  const { managementAddress: address, rpcPort, migrationPorts } = config;
  const findings: Finding[] = [];
  const rpc = await tools.canListen(address, rpcPort);
  if (rpc === 'EADDRNOTAVAIL')
    return [
      problem('ports', address, `${address} is no address of this host.`, 'ip -br address shows what there is; correct managementAddress.'),
    ];
  if (rpc === null) findings.push(ok('ports', String(rpcPort), `${address}:${rpcPort} is free: no agent runs.`));
  else if (rpc === 'EADDRINUSE')
    findings.push(
      ok('ports', String(rpcPort), `${address}:${rpcPort} is in use: by the agent, if systemctl is-active godwit-agent says so.`),
    );
  else
    findings.push(
      problem('ports', String(rpcPort), `${address}:${rpcPort} cannot be listened on: ${rpc}.`, 'Choose another rpcPort, above 1023.'),
    );
  const [first, last] = migrationPorts;
  const taken: number[] = [];
  for (let port = first; port <= last; port++) if ((await tools.canListen(address, port)) !== null) taken.push(port);
  const all = last - first + 1;
  if (taken.length === all)
    findings.push(
      problem(
        'ports',
        `${first}-${last}`,
        `All migration ports ${first}–${last} are taken.`,
        'Choose another range as migrationPorts, and let it through the firewall between hosts.',
      ),
    );
  else if (taken.length > 0)
    findings.push(
      warning(
        'ports',
        `${first}-${last}`,
        `${taken.length} of ${all} migration ports are taken now: ${taken.slice(0, 8).join(', ')}.`,
        'Fine while guests move; otherwise ss -tlnp names who has them.',
      ),
    );
  else findings.push(ok('ports', `${first}-${last}`, `The migration ports ${first}–${last} are free.`));
  return findings;
}

async function examineController(config: LoadedConfig, tools: HostTools): Promise<readonly Finding[]> {
  const { hostname, port } = new URL(config.controllerUrl);
  const word = await tools.canConnect(hostname.replaceAll(/[[\]]/g, ''), Number(port === '' ? 443 : port));
  return [
    word === null
      ? ok('controller', config.controllerUrl, `The controller answers at ${config.controllerUrl}.`)
      : problem(
          'controller',
          config.controllerUrl,
          `Nobody answers at ${config.controllerUrl}: ${word}.`,
          "See that controllerUrl is the controller's agentListen, that it runs, and that a firewall lets this host through.",
        ),
  ];
}

async function examineClock(tools: HostTools): Promise<readonly Finding[]> {
  const remedy = 'apt install chrony on every host and controller.';
  const synchronised = await clockIsSynchronised(tools.run);
  if (synchronised === true) return [ok('clock', '', 'The clock is set by a time service.')];
  return [
    synchronised === false
      ? warning('clock', '', 'No time service sets the clock.', remedy)
      : warning(
          'clock',
          '',
          'Whether a time service sets the clock could not be told: timedatectl does not answer.',
          `${remedy} godwit doctor (of the cloud) measures how far hosts are apart.`,
        ),
  ];
}

async function examineState(config: LoadedConfig): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  try {
    const { bavail, blocks, bsize } = await statfs(config.stateDir);
    findings.push(roomFinding(config.stateDir, `The state directory ${config.stateDir}`, bavail * bsize, blocks * bsize));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      findings.push(ok('state', config.stateDir, `${config.stateDir} is not there yet: the agent makes it.`));
    else
      findings.push(
        problem('state', config.stateDir, `${config.stateDir} cannot be read: ${(error as Error).message}.`, 'Run godwit doctor as root.'),
      );
  }
  try {
    const identity = await loadHostIdentity(config.stateDir);
    if (identity === null) {
      const token = await access(config.joinTokenFile).then(
        () => true,
        () => false,
      );
      findings.push(
        token
          ? ok('certificate', '', `The host has not joined yet; ${config.joinTokenFile} is there.`)
          : problem(
              'certificate',
              '',
              `The host has not joined, and ${config.joinTokenFile} is not there.`,
              `godwit host add ${config.hostName} prints a token: put it into that file.`,
            ),
      );
    } else
      findings.push(
        certificateFinding(
          config.hostName,
          'The certificate of this host',
          identity.notAfterMs,
          Date.now(),
          certificateWarnDays,
          'It renews itself while the agent reaches a controller: see that it does. Once expired: godwit host add NAME, a new token, and restart the agent.',
        ),
      );
  } catch (error) {
    findings.push(
      problem(
        'certificate',
        '',
        `The host's certificate cannot be used: ${(error as Error).message}.`,
        'Run godwit doctor as root; if the files are damaged, join again with a new token of godwit host add.',
      ),
    );
  }
  return findings;
}
