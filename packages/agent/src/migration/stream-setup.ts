import { type MemoryStream, multifdChannels } from '@godwit/domain/memory-stream';
import type { MigrationPolicy } from '../drivers/host-driver.ts';
import { savesInPlace } from '../qemu/memory-file.ts';
import type { QmpClient } from '../qemu/qmp-client.ts';

/**
 * return-path: without an answer from the destination a source completes although the destination could not load. late-block-activate: the destination opens its disks for
 * writing only when it runs. validate-uuid: a stream never ends up in another server's QEMU.
 */
const capabilities = ['events', 'return-path', 'late-block-activate', 'validate-uuid'] as const;

const setCapabilities = { capabilities: capabilities.map((capability) => ({ capability, state: true })) };
/** Said either way: a QEMU keeps what an earlier move has set. With it the guest is stopped before anything is final, until `migrate-continue`. */
const pausing = (pause: boolean) => ({ capability: 'pause-before-switchover', state: pause });
/** Said either way, and on both sides before either connects: a source opens as many connections as it has channels, and a destination waits for as many. */
const channelling = (stream: MemoryStream) => ({ capability: 'multifd', state: stream !== 'single' });
/** How many, and what they do to a page. A QEMU that sends one stream need not know of them. */
const channelParameters = (stream: MemoryStream) =>
  stream === 'single' ? {} : { 'multifd-channels': multifdChannels, 'multifd-compression': stream === 'zstd' ? 'zstd' : 'none' };
/** QEMU takes CPU time from a guest only with auto-converge on; how much and when is `setThrottle`'s. */
const slowingDown = (may: boolean) => ({ capability: 'auto-converge', state: may });

/** QMP's name of one end of the stream. */
export const streamChannels = (address: string, port: number): Readonly<Record<string, unknown>> => ({
  channels: [{ 'channel-type': 'main', addr: { transport: 'socket', type: 'inet', host: address, port: String(port) } }],
});

/** Loads this host's certificate into QEMU under an id of the move: a renewed one must not meet an old object. */
async function addCredentials(qmp: QmpClient, id: string, dir: string, endpoint: 'server' | 'client'): Promise<void> {
  await removeCredentials(qmp, id);
  await qmp.execute('object-add', { 'qom-type': 'tls-creds-x509', id, dir, endpoint, 'verify-peer': true });
}

export async function removeCredentials(qmp: QmpClient, id: string): Promise<void> {
  await qmp.execute('object-del', { id }).catch(() => undefined); // it was not there, or QEMU is gone
}

export const credentialsId = (migrationId: string): string => `tls-${migrationId.slice(0, 8)}`;

type Stream = {
  readonly migrationId: string;
  readonly tlsDir: string;
  /** Memory goes without TLS, as both hosts are configured. The credentials are loaded all the same: disks may need them. */
  readonly plain: boolean;
  readonly stream: MemoryStream;
};

/** Destination: everything before `migrate-incoming`, and that. When it returns QEMU listens. */
export async function setUpIncoming(qmp: QmpClient, options: Stream & { readonly address: string; readonly port: number }): Promise<void> {
  const id = credentialsId(options.migrationId);
  await Promise.all([
    addCredentials(qmp, id, options.tlsDir, 'server'),
    qmp.execute('migrate-set-capabilities', { capabilities: [...setCapabilities.capabilities, channelling(options.stream)] }),
  ]);
  await qmp.execute('migrate-set-parameters', { 'tls-creds': options.plain ? '' : id, ...channelParameters(options.stream) });
  await qmp.execute('migrate-incoming', streamChannels(options.address, options.port));
}

/** Source: everything before `migrate`, which is custody's. The destination must prove to be at `address`. */
export async function setUpOutgoing(
  qmp: QmpClient,
  options: Stream & {
    readonly address: string;
    readonly policy: MigrationPolicy;
    readonly downtimeLimitMs: number;
    /** Disks have to be brought in step while the guest is stopped. */
    readonly pauseBeforeSwitchover: boolean;
  },
): Promise<void> {
  const id = credentialsId(options.migrationId);
  const maySlowDown = (options.policy.convergence?.slowDownPercent ?? 0) > 0;
  const asked = [
    ...setCapabilities.capabilities,
    channelling(options.stream),
    slowingDown(maySlowDown),
    pausing(options.pauseBeforeSwitchover),
  ];
  await Promise.all([
    addCredentials(qmp, id, options.tlsDir, 'client'),
    forStreams(qmp).then((more) => qmp.execute('migrate-set-capabilities', { capabilities: [...asked, ...more] })),
  ]);
  await qmp.execute('migrate-set-parameters', {
    // Said either way: a QEMU keeps what an earlier move has set.
    'tls-creds': options.plain ? '' : id,
    'tls-hostname': options.plain ? '' : options.address,
    ...channelParameters(options.stream),
    ...limits(options.policy, options.downtimeLimitMs),
    ...(maySlowDown && throttle(1, 100)),
  });
}

/** QEMU's own ceiling of its downtime limit: with it whatever is left may be sent while the guest stands. */
export const anyDowntimeMs = 2_000_000;

type Capability = { readonly capability: string; readonly state: boolean };

/** What an earlier saving or loading of the guest's memory may have left on, and QEMU refuses to send streams with. Asked of this QEMU: it may be older than the host's, and know no such word. */
async function forStreams(qmp: QmpClient): Promise<readonly Capability[]> {
  const set = (await qmp.execute('query-migrate-capabilities')) as readonly Capability[];
  return set
    .filter(({ capability, state }) => capability === savesInPlace && state)
    .map(({ capability }) => ({ capability, state: false }));
}

/** A stream whose link is dead may hold QEMU's main loop: nobody waits long for a limit. */
const limitsAnswerMs = 2_000;

/** Changes a stream that may be under way; QEMU looks at the limits every 100 ms. */
export async function setLimits(qmp: QmpClient, policy: MigrationPolicy, downtimeLimitMs: number): Promise<void> {
  await qmp.execute('migrate-set-parameters', limits(policy, downtimeLimitMs), { timeoutMs: limitsAnswerMs });
}

/**
 * Takes about this share of the guest's CPU time away from the end of a round on, when two of them in a row, a second long at least, found that the guest had written anything worth
 * mentioning. QEMU has no order for it: auto-converge's first step, further steps and ceiling are all set to the share wanted.
 */
export async function setThrottle(qmp: QmpClient, percent: number): Promise<void> {
  await qmp.execute('migrate-set-parameters', throttle(percent, 1), { timeoutMs: limitsAnswerMs });
}

/** Until steering asks for more QEMU takes 1 %, its least. */
const throttle = (percent: number, triggerPercent: number) => ({
  'cpu-throttle-initial': percent,
  'cpu-throttle-increment': percent,
  'max-cpu-throttle': percent,
  'throttle-trigger-threshold': triggerPercent,
});

const limits = (policy: MigrationPolicy, downtimeLimitMs: number) => ({
  'downtime-limit': downtimeLimitMs,
  'max-bandwidth': policy.maxBandwidthBytes,
});
