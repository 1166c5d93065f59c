import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemFailure } from '@godwit/contract/config/system-failure';
import { GodwitError } from '@godwit/domain/errors';
import type { BootId } from '@godwit/domain/ids';
import { as } from '@godwit/domain/ids';
import { openRecentLog } from '@godwit/telemetry/recent-log';
import { scopeOfLine } from '@godwit/telemetry/request-scope';
import { startTracing } from '@godwit/telemetry/tracing';
import pino, { type Logger } from 'pino';
import { type HostProbe, probeHost } from './drivers/qemu/host-probe.ts';
import { openQemuDriver } from './drivers/qemu/open-qemu-driver.ts';
import { openSimulatedHost, simulatedFacts } from './drivers/simulated/open-simulated-host.ts';
import { simulatedTimings } from './drivers/simulated/simulated-timings.ts';
import { type HostAgent, type HostSetup, readBootId, startHostAgent } from './host-agent.ts';
import { JoinRefused } from './identity/join-refused.ts';
import { type LoadedConfig, loadAgentConfig } from './load-agent-config.ts';
import { readLogsOf, recentLogFile } from './read-logs.ts';

const usage = `usage: godwit agent --config FILE

  Runs the agent of this host until SIGTERM or SIGINT; guests outlive it. As root, since it makes bridges and taps.
  \`godwit doctor --config FILE\` examines the host first; \`godwit host add NAME\` prints the token with which it joins.
`;

/** Hosts of one process that join and open at the same time: more only wait for each other at the controller. */
const startedTogether = 16;

/**
 * What may still hold the process when it has nothing more to do: the monitors of guests that it could not adopt, a connection to another host. They are not waited for: as long as this agent
 * is there, nobody starts the next one.
 */
const lingerMs = 1_000;

/**
 * Runs the agent until SIGINT or SIGTERM; guests outlive it. Returns the exit code: 0 after a signal, 2 for what an operator has to mend first (the command line, the configuration, the
 * token), 1 for anything else that keeps it from serving.
 */
export const main = async (argv: readonly string[]): Promise<number> => {
  let config: LoadedConfig;
  try {
    const options = { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
    const { values } = parseArgs({ args: [...argv], options, strict: true });
    if (values.help === true) {
      process.stdout.write(usage);
      return 0;
    }
    if (values.config === undefined) throw new Error(`--config FILE is needed\n${usage.trimEnd()}`);
    config = loadAgentConfig(values.config);
  } catch (error) {
    process.stderr.write(`godwit agent: ${(error as Error).message}\n`);
    return 2;
  }
  let log: Logger;
  try {
    log = await createLog(config);
  } catch (error) {
    process.stderr.write(`godwit agent: ${systemFailure(error) ?? String(error)}\n`);
    return 1;
  }
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const agents: HostAgent[] = [];
  const stopTracing =
    config.tracing === undefined ? null : await startTracing(config.tracing.endpoint, 'godwit-agent', { 'host.name': config.hostName });
  try {
    const waiting = (await hostSetups(config, log)).values();
    const startNext = async (): Promise<void> => {
      for (const setup of waiting) {
        if (stop.signal.aborted) return;
        agents.push(await startHostAgent(setup, stop.signal));
      }
    };
    await Promise.all(Array.from({ length: startedTogether }, startNext));
    await stopped;
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    if (error instanceof JoinRefused) {
      process.stderr.write(`godwit agent: ${error.message}\n`);
      return 2;
    }
    const sentence = error instanceof GodwitError && error.code === 'BadRequest' ? error.message : systemFailure(error);
    if (sentence !== null) process.stderr.write(`godwit agent: ${sentence}\n`);
    log.fatal({ err: error }, 'the agent cannot serve');
    return 1;
  } finally {
    await Promise.allSettled(agents.map((agent) => agent.close()));
    await stopTracing?.();
    setTimeout(() => process.exit(), lingerMs).unref();
  }
};

/** JSON lines on the error stream; the latest are also kept from `info` on, whatever the level, for who asks what has happened (ReadLogs). */
async function createLog(config: LoadedConfig): Promise<Logger> {
  await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
  const level = (process.env['GODWIT_LOG_LEVEL'] ?? 'info') as pino.Level;
  const recent = openRecentLog(recentLogFile(config.stateDir));
  return pino(
    { name: 'agent', level: level === 'debug' || level === 'trace' ? level : 'info', base: { host: config.hostName }, mixin: scopeOfLine },
    pino.multistream([
      { level, stream: pino.destination({ dest: 2, sync: true }) },
      { level: 'info', stream: recent.stream },
    ]),
  );
}

async function hostSetups(config: LoadedConfig, log: Logger): Promise<readonly HostSetup[]> {
  const bootId = await readBootId(config.bootIdFile);
  const readLogs = readLogsOf(config.stateDir);
  const shared = { readLogs, address: config.managementAddress, controllerUrl: config.controllerUrl, bootId, zone: config.zone ?? '' };
  if (config.driver === 'qemu') {
    const joinToken = () => readFile(config.joinTokenFile, 'utf8');
    // Once, whether a join or the driver asks first.
    let probing: Promise<HostProbe> | undefined;
    const probe = (): Promise<HostProbe> => (probing ??= probeHost(config, log));
    return [
      {
        ...shared,
        hostName: config.hostName,
        stateDir: config.stateDir,
        rpcPort: config.rpcPort,
        joinToken,
        log,
        facts: async () => (await probe()).facts(),
        openDriver: async (identity) => openQemuDriver(config, await probe(), identity, as<BootId>(bootId), log),
      },
    ];
  }
  const setups = (config.simulatedHosts ?? []).map(async (host, index): Promise<HostSetup> => {
    const stateDir = join(config.stateDir, 'hosts', host.name);
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const hostLog = log.child({ host: host.name });
    const timings = simulatedTimings(host.timings);
    return {
      ...shared,
      hostName: host.name,
      stateDir,
      rpcPort: config.rpcPort + index,
      log: hostLog,
      ...(host.zone !== undefined && { zone: host.zone }),
      joinToken: async () => lineFor(index, await readFile(config.joinTokenFile, 'utf8')),
      facts: () => Promise.resolve(simulatedFacts(host)),
      openDriver: (identity) =>
        openSimulatedHost({ host, stateDir, identity, bootId: as<BootId>(bootId), controllerUrl: config.controllerUrl, timings }),
    };
  });
  return Promise.all(setups);
}

/** Tokens are for one host each: a file for several simulated hosts holds one per line, in their order. */
function lineFor(index: number, text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines[index] ?? lines[0] ?? '';
}

// Run as a program (`node main.ts --config FILE`); importing it starts nothing.
if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
