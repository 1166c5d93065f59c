import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { ControllerConfig } from '@godwit/contract/config/controller-config';

/** The controller's configuration with every default filled in and every path absolute. */
export type ResolvedConfig = {
  readonly stateDir: string;
  /** null: the embedded server under `<stateDir>/postgres`. */
  readonly databaseUrl: string | null;
  readonly listen: { readonly inherited: true } | { readonly address: string; readonly port: number };
  /** Without a slash at the end. */
  readonly publicUrl: string;
  readonly agentListen: { readonly address: string; readonly port: number; readonly names: readonly string[] };
  readonly imageDir: string;
  readonly executorName: string;
  readonly region: string;
  readonly bootstrapOutput: string | null;
  readonly cpuAllocationRatio: number;
  readonly ramAllocationRatio: number;
  readonly diskAllocationRatio: number;
  /** Of live migrations that copy: out of and into each host, and in all; `preparedAhead`: that many more per link are prepared meanwhile. */
  readonly limits: {
    readonly outgoingPerHost: number;
    readonly incomingPerHost: number;
    readonly total: number;
    readonly preparedAhead: number;
  };
  /** 0: finished cold moves wait for their confirmation for ever. */
  readonly resizeConfirmWindowSeconds: number;
  readonly networkSwitch: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
};

/** A configuration that cannot be used; the message is the one sentence for the operator. */
export class ConfigError extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'ConfigError';
  }
}

/** Reads `file`, applies the environment, checks it. Throws ConfigError naming the file and the key. */
export async function loadConfig(file: string, env: Readonly<Record<string, string | undefined>> = process.env): Promise<ResolvedConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`the configuration file ${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`the configuration file ${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  try {
    return resolveConfig(value, env);
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

const known = new Set<keyof ControllerConfig>([
  'stateDir',
  'databaseUrl',
  'listen',
  'publicUrl',
  'agentListen',
  'imageDir',
  'executorName',
  'region',
  'bootstrapOutput',
  'cpuAllocationRatio',
  'ramAllocationRatio',
  'diskAllocationRatio',
  'limits',
  'resizeConfirmWindowSeconds',
  'networkSwitch',
  'logLevel',
]);
const logLevels = ['debug', 'info', 'warn', 'error'] as const;

/** Checks a parsed configuration and fills in the defaults. Throws ConfigError naming the key. */
export function resolveConfig(value: unknown, env: Readonly<Record<string, string | undefined>> = {}): ResolvedConfig {
  const input = object(value, 'the configuration');
  for (const key of Object.keys(input)) {
    if (!known.has(key as keyof ControllerConfig)) throw new ConfigError(`"${key}" is not a setting of the controller`);
  }
  const stateDir = resolve(text(env.GODWIT_STATE_DIR ?? input.stateDir, 'stateDir'));
  const publicUrl = text(env.GODWIT_PUBLIC_URL ?? input.publicUrl, 'publicUrl').replace(/\/+$/, '');
  if (!URL.canParse(publicUrl) || !/^https?:$/.test(new URL(publicUrl).protocol))
    throw new ConfigError(`"publicUrl" must be an http or https URL, not ${publicUrl}`);
  const databaseUrl = env.DATABASE_URL ?? input.databaseUrl;
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(text(databaseUrl, 'databaseUrl')))
    throw new ConfigError('"databaseUrl" must begin with postgresql://');
  const agentListen = object(input.agentListen, '"agentListen"');
  const names = agentListen.names;
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string' && name !== '')) {
    throw new ConfigError('"agentListen.names" must list the addresses or DNS names by which agents reach this controller');
  }
  const limits = object(input.limits ?? {}, '"limits"');
  const window = input.resizeConfirmWindowSeconds ?? 0;
  if (typeof window !== 'number' || !Number.isInteger(window) || window < 0)
    throw new ConfigError('"resizeConfirmWindowSeconds" must be a whole number of seconds, 0 for never');
  const networkSwitch = input.networkSwitch ?? true;
  if (typeof networkSwitch !== 'boolean') throw new ConfigError('"networkSwitch" must be true or false');
  const level = input.logLevel ?? 'info';
  if (!logLevels.includes(level as (typeof logLevels)[number])) throw new ConfigError(`"logLevel" must be one of ${logLevels.join(', ')}`);
  return {
    stateDir,
    databaseUrl: databaseUrl === undefined ? null : text(databaseUrl, 'databaseUrl'),
    listen: listen(input.listen),
    publicUrl,
    agentListen: {
      address: text(agentListen.address, 'agentListen.address'),
      port: port(agentListen.port, 'agentListen.port'),
      names: names as readonly string[],
    },
    imageDir: resolve(optionalText(input.imageDir, 'imageDir') ?? join(stateDir, 'images')),
    executorName: optionalText(input.executorName, 'executorName') ?? `${hostname()}-${process.pid}`,
    region: optionalText(input.region, 'region') ?? 'RegionOne',
    bootstrapOutput: optionalText(input.bootstrapOutput, 'bootstrapOutput') ?? null,
    cpuAllocationRatio: positive(input.cpuAllocationRatio ?? 4, 'cpuAllocationRatio'),
    ramAllocationRatio: positive(input.ramAllocationRatio ?? 1, 'ramAllocationRatio'),
    diskAllocationRatio: positive(input.diskAllocationRatio ?? 1, 'diskAllocationRatio'),
    limits: {
      outgoingPerHost: count(limits.outgoingPerHost ?? 1, 'limits.outgoingPerHost'),
      incomingPerHost: count(limits.incomingPerHost ?? 1, 'limits.incomingPerHost'),
      total: count(limits.total ?? 1_000, 'limits.total'),
      preparedAhead: limits.preparedAhead === 0 ? 0 : count(limits.preparedAhead ?? 1, 'limits.preparedAhead'),
    },
    resizeConfirmWindowSeconds: window,
    networkSwitch,
    logLevel: level as ResolvedConfig['logLevel'],
  };
}

function listen(value: unknown): ResolvedConfig['listen'] {
  const input = object(value, '"listen"');
  if (input.inherited === true) return { inherited: true };
  return { address: text(input.address, 'listen.address'), port: port(input.port, 'listen.port') };
}

function object(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ConfigError(`${what} must be an object`);
  return value as Readonly<Record<string, unknown>>;
}

function text(value: unknown, key: string): string {
  if (typeof value !== 'string' || value === '') throw new ConfigError(`"${key}" must be a text that is not empty`);
  return value;
}

function optionalText(value: unknown, key: string): string | undefined {
  return value === undefined ? undefined : text(value, key);
}

function port(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 65_535)
    throw new ConfigError(`"${key}" must be a port between 0 and 65535`);
  return value;
}

function positive(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw new ConfigError(`"${key}" must be a number above 0`);
  return value;
}

function count(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) throw new ConfigError(`"${key}" must be a whole number from 1`);
  return value;
}
