import { readFileSync } from 'node:fs';
import type { AgentConfig } from '@godwit/contract/config/agent-config';
import { readSettings, type Settings } from '@godwit/contract/config/read-settings';
import { GodwitError } from '@godwit/domain/errors';
import { isCephName } from '@godwit/domain/guest-spec';

/** The configuration with its defaults filled in. */
export type LoadedConfig = AgentConfig & { readonly bootIdFile: string; readonly migrationPorts: readonly [number, number] };

const known: ReadonlySet<string> = new Set<keyof AgentConfig>([
  'hostName',
  'stateDir',
  'driver',
  'simulatedHosts',
  'managementAddress',
  'rpcPort',
  'controllerUrl',
  'joinTokenFile',
  'bootIdFile',
  'zone',
  'bridge',
  'pools',
  'accelerator',
  'imageLocking',
  'migrationPorts',
  'diskStreamTls',
  'memoryStreamTls',
  'switchoverPrecedence',
  'tracing',
  'clockSkewMs',
  'modelPowerLoss',
]);

type Environment = Readonly<Record<string, string | undefined>>;

const defaultRpcPort = 8781;
/** IANA's dynamic ports begin at 49152; 64 of them are 32 moves at once with disks. */
const defaultMigrationPorts = [49_152, 49_215] as const;
/** sun_path's 107 bytes less `/guests/<uuid>/oob.sock`. */
const longestStateDirBytes = 107 - '/guests//oob.sock'.length - 36;

/**
 * Reads the agent's configuration file and lays the environment over it. Throws GodwitError BadRequest with one sentence that names every key
 * that is missing or wrong.
 */
export function loadAgentConfig(file: string, environment: Environment = process.env): LoadedConfig {
  const settings = read(file);
  const parsed = settings.value as Partial<Record<keyof AgentConfig, unknown>>;
  const text = (name: string, value: unknown): unknown => environment[name] ?? value;
  const number = (name: string, value: unknown): unknown => (environment[name] === undefined ? value : Number(environment[name]));
  const merged = {
    driver: 'qemu',
    ...parsed,
    hostName: text('GODWIT_HOST_NAME', parsed.hostName),
    stateDir: text('GODWIT_STATE_DIR', parsed.stateDir),
    managementAddress: text('GODWIT_MANAGEMENT_ADDRESS', parsed.managementAddress),
    rpcPort: number('GODWIT_RPC_PORT', parsed.rpcPort ?? defaultRpcPort),
    controllerUrl: text('GODWIT_CONTROLLER_URL', parsed.controllerUrl),
    joinTokenFile: text('GODWIT_JOIN_TOKEN_FILE', parsed.joinTokenFile),
    bootIdFile: text('GODWIT_BOOT_ID_FILE', parsed.bootIdFile ?? '/proc/sys/kernel/random/boot_id'),
    ...((environment['GODWIT_ZONE'] ?? parsed.zone) !== undefined && { zone: text('GODWIT_ZONE', parsed.zone) }),
    ...(environment['OTEL_EXPORTER_OTLP_ENDPOINT'] !== undefined && { tracing: { endpoint: environment['OTEL_EXPORTER_OTLP_ENDPOINT'] } }),
    ...((environment['GODWIT_CLOCK_SKEW_MS'] ?? parsed.clockSkewMs) !== undefined && {
      clockSkewMs: number('GODWIT_CLOCK_SKEW_MS', parsed.clockSkewMs),
    }),
    migrationPorts: parsed.migrationPorts ?? defaultMigrationPorts,
    pools: parsed.pools ?? [],
  };
  const unknown = Object.keys(parsed)
    .filter((key) => !known.has(key))
    .map((key) => `${key} is not a setting of the agent`);
  const problems = [...unknown, ...configProblems(merged)].map((problem) => {
    const line = settings.lineOf(problem.split(' ')[0] ?? '');
    return line === null ? problem : `${problem} (line ${line})`;
  });
  if (problems.length > 0) throw new GodwitError('BadRequest', `the configuration ${file} is wrong: ${problems.join('; ')}`);
  return merged as unknown as LoadedConfig;
}

function read(file: string): Settings {
  try {
    const settings = readSettings(readFileSync(file, 'utf8'), file);
    if (typeof settings.value !== 'object' || settings.value === null || Array.isArray(settings.value))
      throw new Error('it holds no settings');
    return settings;
  } catch (error) {
    throw new GodwitError('BadRequest', `the configuration ${file} cannot be read: ${(error as Error).message}`, {}, { cause: error });
  }
}

/** Each begins with the key it is about. */
function configProblems(config: Readonly<Record<string, unknown>>): readonly string[] {
  const problems: string[] = [];
  const demand = (holds: boolean, sentence: string): void => {
    if (!holds) problems.push(sentence);
  };
  const filled = (value: unknown): value is string => typeof value === 'string' && value !== '';
  demand(
    config['driver'] === 'qemu' || config['driver'] === 'simulated',
    `driver is ${JSON.stringify(config['driver'])}, not "qemu" or "simulated"`,
  );
  demand(filled(config['hostName']), 'hostName is missing');
  demand(filled(config['stateDir']) && config['stateDir'].startsWith('/'), 'stateDir is not an absolute path');
  if (config['driver'] === 'qemu' && filled(config['stateDir'])) {
    demand(
      Buffer.byteLength(config['stateDir']) <= longestStateDirBytes,
      `stateDir is longer than ${longestStateDirBytes} bytes, so that the sockets below it could not be made`,
    );
    const bridge = config['bridge'] as { name?: unknown; uplink?: unknown; vlans?: unknown; openvswitch?: unknown } | undefined;
    demand(filled(bridge?.name), 'bridge.name is missing');
    for (const [key, value] of Object.entries(bridge ?? {})) {
      demand(bridgeKeys.includes(key), `bridge.${key} is not a setting of the agent (${bridgeKeys.join(', ')})`);
      if (key === 'name' || key === 'uplink' || key === 'openvswitch')
        demand(
          typeof value === 'string' && (value === '' || interfaceName.test(value)),
          `bridge.${key} ${JSON.stringify(value)} is no name of an interface`,
        );
    }
    demand(bridge?.vlans === undefined || typeof bridge.vlans === 'boolean', 'bridge.vlans is neither true nor false');
    demand(bridge?.openvswitch === undefined || filled(bridge.openvswitch), 'bridge.openvswitch is no name of a bridge');
    demand(
      bridge?.openvswitch === undefined || (bridge.uplink === undefined && bridge.openvswitch !== bridge.name),
      'bridge.openvswitch takes the place of bridge.uplink, and is not bridge.name itself',
    );
  }
  demand(
    filled(config['managementAddress']) && !['0.0.0.0', '::'].includes(config['managementAddress']),
    'managementAddress is missing or a wildcard',
  );
  demand(isPort(config['rpcPort']), `rpcPort ${JSON.stringify(config['rpcPort'])} is not a port`);
  demand(
    filled(config['controllerUrl']) && config['controllerUrl'].startsWith('https://') && URL.canParse(config['controllerUrl']),
    'controllerUrl is not an https:// address',
  );
  demand(filled(config['joinTokenFile']), 'joinTokenFile is missing');
  const ports = config['migrationPorts'];
  demand(
    Array.isArray(ports) && ports.length === 2 && isPort(ports[0]) && isPort(ports[1]) && ports[0] <= ports[1],
    'migrationPorts is not [first, last]',
  );
  demand(Array.isArray(config['pools']), 'pools is not a list');
  if (Array.isArray(config['pools'])) problems.push(...config['pools'].flatMap(poolProblems));
  const simulated = config['simulatedHosts'];
  demand(config['driver'] !== 'simulated' || (Array.isArray(simulated) && simulated.length > 0), 'driver "simulated" needs simulatedHosts');
  const tracing = config['tracing'] as { readonly endpoint?: unknown } | undefined;
  demand(
    tracing === undefined || (filled(tracing?.endpoint) && /^https?:\/\//.test(tracing.endpoint) && URL.canParse(tracing.endpoint)),
    'tracing.endpoint is not an http or https address',
  );
  demand(config['clockSkewMs'] === undefined || Number.isFinite(config['clockSkewMs']), 'clockSkewMs is not a number');
  return problems;
}

const bridgeKeys = ['name', 'uplink', 'openvswitch', 'vlans'];
/** What Linux takes, without what programs would take for an option. */
const interfaceName = /^[A-Za-z0-9._][A-Za-z0-9._-]{0,14}$/;

/** What an `rbd` pool must say, and what no other can. */
function poolProblems(pool: Readonly<Record<string, unknown>> | null): readonly string[] {
  const name = JSON.stringify(pool?.['name']);
  const ceph = pool?.['ceph'] as Readonly<Record<string, unknown>> | null | undefined;
  if (!['shared', 'local', 'rbd'].includes(String(pool?.['kind'])))
    return [`pools has the kind ${JSON.stringify(pool?.['kind'])} in ${name}, not "shared", "local" or "rbd"`];
  if (pool?.['kind'] !== 'rbd') return ceph === undefined ? [] : [`pools has ceph in ${name}, which is not of kind rbd`];
  const problems: string[] = [];
  if (!isCephName(ceph?.['pool'])) problems.push(`pools has no ceph.pool in ${name} of kind rbd, or one that is no plain name`);
  for (const key of ['namespace', 'user'])
    if (ceph?.[key] !== undefined && !isCephName(ceph[key])) problems.push(`pools has a ceph.${key} in ${name} that is no plain name`);
  const conf = ceph?.['conf'];
  if (conf !== undefined && !(typeof conf === 'string' && conf.startsWith('/')))
    problems.push(`pools has a ceph.conf in ${name} that is not an absolute path`);
  for (const key of ['directIo', 'declaredCoherent'])
    if (pool[key] !== undefined) problems.push(`pools has ${key} in ${name}, which says nothing about an rbd pool`);
  return problems;
}

const isPort = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535;
