import { X509Certificate } from 'node:crypto';
import { access, constants, readFile, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Finding, ok, problem } from '@godwit/domain/doctor/finding';
import { certificateFinding, roomFinding } from '@godwit/domain/doctor/rules';
import pg from 'pg';
import { loadConfig, type ResolvedConfig } from '../config/load-config.ts';

const CONNECT_MS = 5_000;

/** Everything that a controller needs of this machine, looked at without changing anything. */
export async function examineControllerHost(file: string): Promise<readonly Finding[]> {
  let config: ResolvedConfig;
  try {
    config = await loadConfig(file);
  } catch (error) {
    return [
      problem(
        'configuration',
        file,
        `${(error as Error).message}.`,
        'Mend that line; the file as it was installed explains every setting.',
      ),
    ];
  }
  const found = await Promise.all([examineDatabase(config), examineTls(config), examineRoom(config)]);
  return [
    ok('configuration', file, `${file} is a configuration of a controller at ${config.publicUrl}.`),
    ...examineListen(config),
    ...found.flat(),
  ];
}

function examineListen(config: ResolvedConfig): readonly Finding[] {
  const { listen, tls, plainHttp } = config;
  const exposed = 'address' in listen && !/^(127\.|::1$|localhost$)/.test(listen.address);
  return [
    exposed && tls === null && !plainHttp
      ? problem(
          'listen',
          listen.address,
          `Plain HTTP would be served on ${listen.address}, beyond this machine: the controller refuses to start.`,
          'Set tls, or listen on 127.0.0.1 behind a proxy, or say plainHttp: true.',
        )
      : ok('listen', '', 'The public listener may be opened as configured.'),
  ];
}

async function examineDatabase(config: ResolvedConfig): Promise<readonly Finding[]> {
  if (config.databaseUrl === null) return [ok('database', '', 'The embedded PostgreSQL is used: one controller only.')];
  const client = new pg.Client({ connectionString: config.databaseUrl, connectionTimeoutMillis: CONNECT_MS });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string }>('show server_version as version');
    return [ok('database', '', `PostgreSQL ${rows[0]?.version ?? ''} answers.`.replace('  ', ' '))];
  } catch (error) {
    return [
      problem(
        'database',
        '',
        `The database does not answer: ${(error as Error).message}.`,
        'See databaseUrl (or DATABASE_URL), pg_hba.conf and the firewall.',
      ),
    ];
  } finally {
    await client.end().catch(() => {});
  }
}

async function examineTls(config: ResolvedConfig): Promise<readonly Finding[]> {
  if (config.tls === null) return [];
  const { certificate, key } = config.tls;
  const renew = `Put a certificate chain and its key into ${certificate} and ${key}, readable for the user godwit, then systemctl reload godwit-controller.`;
  try {
    const { validTo } = new X509Certificate(await readFile(certificate));
    await access(key, constants.R_OK);
    return [certificateFinding('', 'The certificate of the public APIs', Date.parse(validTo), Date.now(), 21, renew)];
  } catch (error) {
    return [problem('certificate', '', `The certificate or its key cannot be read: ${(error as Error).message}.`, renew)];
  }
}

async function examineRoom(config: ResolvedConfig): Promise<readonly Finding[]> {
  const found = await Promise.all(
    [...new Set([config.stateDir, config.imageDir])].map(async (directory): Promise<Finding> => {
      for (let at = directory; ; at = dirname(at)) {
        try {
          const { bavail, blocks, bsize } = await statfs(at);
          return roomFinding(directory, directory, bavail * bsize, blocks * bsize);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'ENOENT' && at !== dirname(at)) continue;
          return problem(
            'room',
            directory,
            `${directory} cannot be read: ${(error as Error).message}.`,
            'Run godwit doctor as root, or as the user of the controller.',
          );
        }
      }
    }),
  );
  return found;
}
