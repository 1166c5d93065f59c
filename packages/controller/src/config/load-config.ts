import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { ControllerConfig } from '@godwit/contract/config/controller-config';
import { readSettings, UnreadableSettings } from '@godwit/contract/config/read-settings';

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
  /** Shelved servers give up their place on their host after this; 0: at once, -1: when an admin asks. */
  readonly shelvedOffloadSeconds: number;
  readonly networkSwitch: boolean;
  /** Paths of the certificate chain and the key (PEM) of the public listener; null: plain HTTP. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
  /** Whether plain HTTP may be served beyond this machine. */
  readonly plainHttp: boolean;
  /** null: nobody is told. `secretFile` is absolute. */
  readonly webhook: { readonly url: string; readonly secretFile: string } | null;
  /** null: no traces. */
  readonly tracing: { readonly endpoint: string } | null;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
};

/** A configuration that cannot be used; the message is the one sentence for the operator, `key` the setting it is about. */
export class ConfigError extends Error {
  readonly key: string | null;

  constructor(message: string, options: { readonly key?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'ConfigError';
    this.key = options.key ?? null;
  }
}

/** libpq takes a list (`a,b`, `host=a,b`) and tries each; this client does not. */
const namesSeveralHosts = (url: string): boolean => /^[^:]+:\/\/(?:[^/?#]*@)?[^/?#]*,/.test(url) || /[?&]host=[^&#]*(?:,|%2c)/i.test(url);

const wrong = (key: string, sentence: string): ConfigError => new ConfigError(`"${key}" ${sentence}`, { key });

/** Reads `file` (YAML or JSON), applies the environment, checks it. Throws ConfigError naming the file, the line and the key. */
export async function loadConfig(file: string, env: Readonly<Record<string, string | undefined>> = process.env): Promise<ResolvedConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`the configuration file ${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    const settings = readSettings(text, file);
    try {
      return resolveConfig(settings.value, env);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const line = error.key === null ? null : settings.lineOf(error.key);
      throw new ConfigError(`${file}${line === null ? '' : `:${line}`}: ${error.message}`, { cause: error });
    }
  } catch (error) {
    if (error instanceof UnreadableSettings) throw new ConfigError(error.message, { cause: error });
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
  'shelvedOffloadSeconds',
  'networkSwitch',
  'tls',
  'plainHttp',
  'webhook',
  'tracing',
  'logLevel',
]);
const logLevels = ['debug', 'info', 'warn', 'error'] as const;

/** Checks a parsed configuration and fills in the defaults. Throws ConfigError naming the key. */
export function resolveConfig(value: unknown, env: Readonly<Record<string, string | undefined>> = {}): ResolvedConfig {
  const input = object(value, null);
  for (const key of Object.keys(input)) {
    if (!known.has(key as keyof ControllerConfig)) throw wrong(key, 'is not a setting of the controller');
  }
  const stateDir = resolve(text(env.GODWIT_STATE_DIR ?? input.stateDir, 'stateDir'));
  const publicUrl = text(env.GODWIT_PUBLIC_URL ?? input.publicUrl, 'publicUrl').replace(/\/+$/, '');
  if (!URL.canParse(publicUrl) || !/^https?:$/.test(new URL(publicUrl).protocol))
    throw wrong('publicUrl', `must be an http or https URL, not ${publicUrl}`);
  const databaseUrl = env.DATABASE_URL ?? input.databaseUrl;
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(text(databaseUrl, 'databaseUrl')))
    throw wrong('databaseUrl', 'must begin with postgresql://');
  if (databaseUrl !== undefined && namesSeveralHosts(text(databaseUrl, 'databaseUrl')))
    throw wrong(
      'databaseUrl',
      'names several hosts: name one address that leads to the primary, wherever it is (a virtual address, HAProxy)',
    );
  const agentListen = object(input.agentListen, 'agentListen');
  const names = agentListen.names;
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string' && name !== '')) {
    throw wrong('agentListen.names', 'must list the addresses or DNS names by which agents reach this controller');
  }
  const limits = object(input.limits ?? {}, 'limits');
  const window = input.resizeConfirmWindowSeconds ?? 0;
  if (typeof window !== 'number' || !Number.isInteger(window) || window < 0)
    throw wrong('resizeConfirmWindowSeconds', 'must be a whole number of seconds, 0 for never');
  const offload = input.shelvedOffloadSeconds ?? 0;
  if (typeof offload !== 'number' || !Number.isInteger(offload) || offload < -1)
    throw wrong('shelvedOffloadSeconds', 'must be a whole number of seconds, 0 for at once, -1 for never');
  const networkSwitch = input.networkSwitch ?? true;
  if (typeof networkSwitch !== 'boolean') throw wrong('networkSwitch', 'must be true or false');
  const plainHttp = input.plainHttp ?? false;
  if (typeof plainHttp !== 'boolean') throw wrong('plainHttp', 'must be true or false');
  const level = input.logLevel ?? 'info';
  if (!logLevels.includes(level as (typeof logLevels)[number])) throw wrong('logLevel', `must be one of ${logLevels.join(', ')}`);
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
    shelvedOffloadSeconds: offload,
    networkSwitch,
    tls: tls(input.tls),
    plainHttp,
    webhook: webhook(input.webhook),
    tracing: tracing(env.OTEL_EXPORTER_OTLP_ENDPOINT === undefined ? input.tracing : { endpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT }),
    logLevel: level as ResolvedConfig['logLevel'],
  };
}

function tls(value: unknown): ResolvedConfig['tls'] {
  if (value === undefined) return null;
  const input = object(value, 'tls');
  return { certificate: resolve(text(input.certificate, 'tls.certificate')), key: resolve(text(input.key, 'tls.key')) };
}

function webhook(value: unknown): ResolvedConfig['webhook'] {
  if (value === undefined) return null;
  const input = object(value, 'webhook');
  return { url: httpUrl(input.url, 'webhook.url'), secretFile: resolve(text(input.secretFile, 'webhook.secretFile')) };
}

function tracing(value: unknown): ResolvedConfig['tracing'] {
  return value === undefined ? null : { endpoint: httpUrl(object(value, 'tracing').endpoint, 'tracing.endpoint') };
}

function httpUrl(value: unknown, key: string): string {
  const url = text(value, key);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) throw wrong(key, `must be an http or https URL, not ${url}`);
  return url;
}

function listen(value: unknown): ResolvedConfig['listen'] {
  const input = object(value, 'listen');
  if (input.inherited === true) return { inherited: true };
  return { address: text(input.address, 'listen.address'), port: port(input.port, 'listen.port') };
}

/** `key` null: the whole configuration. */
function object(value: unknown, key: string | null): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw key === null ? new ConfigError('the configuration must be an object') : wrong(key, 'must be an object');
  return value as Readonly<Record<string, unknown>>;
}

function text(value: unknown, key: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(key, 'must be a text that is not empty');
  return value;
}

function optionalText(value: unknown, key: string): string | undefined {
  return value === undefined ? undefined : text(value, key);
}

function port(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 65_535)
    throw wrong(key, 'must be a port between 0 and 65535');
  return value;
}

function positive(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw wrong(key, 'must be a number above 0');
  return value;
}

function count(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) throw wrong(key, 'must be a whole number from 1');
  return value;
}
