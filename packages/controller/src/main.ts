import { open } from 'node:fs/promises';
import { systemFailure } from '@godwit/contract/config/system-failure';
import { GodwitError } from '@godwit/domain/errors';
import { openRecentLog } from '@godwit/telemetry/recent-log';
import { bootstrapIdentity } from './auth/bootstrap.ts';
import { createJoinToken } from './auth/join-token.ts';
import { ConfigError, loadConfig, type ResolvedConfig } from './config/load-config.ts';
import { openConfiguredDatabase, postgresDirectory, startController } from './controller.ts';
import { createLog, recentLogFile } from './log.ts';
import { reloadTls } from './public-listener.ts';
import type { Database, Db } from './store/database.ts';
import { ensurePostgres, stopPostgres } from './store/embedded/postgres-server.ts';
import { beginRecovery } from './workflows/custody/database-restored.ts';
import { enqueue } from './workflows/executor.ts';

const usage = `usage: godwit controller [command] --config FILE

  (no command)                  serve until SIGTERM or SIGINT
  bootstrap                     make the first administrator and print the password once (or write it to "bootstrapOutput")
  join-token create [--host H]… print a token with which one host may join within a day; with several --host one line each, in their order
  start-database                start the embedded PostgreSQL, or find it running
  stop-database                 stop it; committed data stays
  recover                       the database was put back from a backup, or lost its last commits: grant nothing for a server until every host that could hold it has reported
                                (a controller that starts on another database than before does this by itself)
`;

/** Runs a command of the controller and resolves to the exit code. What the operator can mend is one sentence on the error stream. */
export const main = async (argv: readonly string[]): Promise<number> => {
  let parsed: Arguments;
  try {
    parsed = parse(argv);
  } catch (error) {
    process.stderr.write(`godwit controller: ${(error as Error).message}\n${usage}`);
    return 2;
  }
  if (parsed.help) {
    process.stdout.write(usage);
    return 0;
  }
  try {
    const config = await loadConfig(parsed.config);
    return await run(parsed, config);
  } catch (error) {
    const sentence = error instanceof ConfigError || error instanceof GodwitError ? error.message : systemFailure(error);
    process.stderr.write(`godwit controller: ${sentence ?? (error as Error).stack ?? String(error)}\n`);
    return 1;
  }
};

type Arguments = {
  readonly command: 'serve' | 'bootstrap' | 'join-token' | 'start-database' | 'stop-database' | 'recover';
  readonly config: string;
  readonly hosts: readonly string[];
  readonly help: boolean;
};

function parse(argv: readonly string[]): Arguments {
  const words: string[] = [];
  let config: string | null = null;
  const hosts: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? '';
    if (word === '--help' || word === '-h') return { command: 'serve', config: '', hosts, help: true };
    if (word === '--config' || word === '--host') {
      const value = argv[++index];
      if (value === undefined) throw new Error(`${word} needs a value`);
      if (word === '--config') config = value;
      else hosts.push(value);
    } else if (word.startsWith('-')) throw new Error(`there is no option ${word}`);
    else words.push(word);
  }
  const line = words.join(' ');
  const command = line === '' ? 'serve' : line === 'join-token create' ? 'join-token' : line;
  if (
    command !== 'serve' &&
    command !== 'bootstrap' &&
    command !== 'join-token' &&
    command !== 'start-database' &&
    command !== 'stop-database' &&
    command !== 'recover'
  )
    throw new Error(`there is no command '${line}'`);
  if (hosts.length > 0 && command !== 'join-token') throw new Error('--host belongs to join-token create');
  if (config === null) throw new Error('--config FILE is needed');
  return { command, config, hosts, help: false };
}

async function run(parsed: Arguments, config: ResolvedConfig): Promise<number> {
  switch (parsed.command) {
    case 'serve':
      return serve(config);
    case 'stop-database':
      process.stdout.write(
        (await stopPostgres(postgresDirectory(config))) ? 'the database was stopped\n' : 'the database was not running\n',
      );
      return 0;
    case 'start-database':
      process.stdout.write(`${(await ensurePostgres({ directory: postgresDirectory(config) })).url}\n`);
      return 0;
    case 'recover':
      return withDatabase(config, recover);
    case 'bootstrap':
      return withDatabase(config, (database) => bootstrap(database.db, config));
    case 'join-token':
      return withDatabase(config, async (database) => {
        for (const host of parsed.hosts.length === 0 ? [null] : parsed.hosts)
          process.stdout.write(`${await createJoinToken(database.db, host)}\n`);
        return 0;
      });
  }
}

async function withDatabase(
  config: ResolvedConfig,
  work: (database: Awaited<ReturnType<typeof openConfiguredDatabase>>) => Promise<number>,
): Promise<number> {
  const database = await openConfiguredDatabase(config, createLog('error'));
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

/** A running controller carries it out; one that starts finds it enqueued. */
async function recover({ db }: Pick<Database, 'db'>): Promise<number> {
  const servers = await beginRecovery(db, { enqueue });
  process.stdout.write(
    `${servers} servers are recovered: nothing is granted for one until every host that could hold it has reported or is fenced\n`,
  );
  return 0;
}

/** The password is shown once, here or in the file; the database keeps only its hash. */
async function bootstrap(db: Db, config: ResolvedConfig): Promise<number> {
  // Opened before the user is made: a password that cannot be written would be lost.
  const file = config.bootstrapOutput === null ? null : await open(config.bootstrapOutput, 'a', 0o600);
  try {
    const made = await bootstrapIdentity(db);
    if (!made.created) {
      process.stdout.write('the cloud has users already; nothing was changed\n');
      return 0;
    }
    if (file === null) {
      process.stdout.write(
        `user ${made.userName}, project ${made.projectName}, password ${made.password}\nThe password is not shown again.\n`,
      );
      return 0;
    }
    await file.truncate(0);
    await file.chmod(0o600);
    await file.writeFile(`${made.password}\n`);
    await file.sync();
    return 0;
  } finally {
    await file?.close();
  }
}

async function serve(config: ResolvedConfig): Promise<number> {
  const recent = openRecentLog(recentLogFile(config));
  const log = createLog(config.logLevel, [recent.stream]);
  // A second signal while stopping ends the process at once: durable work loses nothing by it.
  const stopSignal = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  const controller = await startController(config, log);
  // Renewed certificates are taken without a restart: `systemctl reload`.
  process.on('SIGHUP', () => {
    reloadTls(controller.app, config).then(
      () => log.info('the certificate was read again'),
      (error: unknown) => log.error({ err: error }, 'the certificate was not renewed; the old one stays in use'),
    );
  });
  const signal = await stopSignal;
  log.info({ signal }, 'the controller stops');
  await controller.stop();
  recent.close();
  return 0;
}
