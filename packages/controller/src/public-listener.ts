import { readFile } from 'node:fs/promises';
import { type AddressInfo, isIPv4, isIPv6 } from 'node:net';
import { createSecureContext, type SecureContextOptions, Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { ConfigError, type ResolvedConfig } from './config/load-config.ts';

// systemd's socket activation hands the first socket over as this descriptor.
const FIRST_INHERITED_FD = 3;

/** Certificate and key of the public listener; null: plain HTTP. Throws `ConfigError` naming the file that cannot be read, or that the two do not belong together. */
export async function readTls(tls: ResolvedConfig['tls']): Promise<Pick<SecureContextOptions, 'cert' | 'key'> | null> {
  if (tls === null) return null;
  const read = async (key: 'certificate' | 'key'): Promise<Buffer> => {
    try {
      return await readFile(tls[key]);
    } catch (error) {
      throw new ConfigError(`"tls.${key}": ${(error as Error).message}`, { key: `tls.${key}`, cause: error });
    }
  };
  const pair = { cert: await read('certificate'), key: await read('key') };
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new ConfigError(`"tls": ${tls.certificate} and ${tls.key} are no certificate with its key: ${(error as Error).message}`, {
      key: 'tls',
      cause: error,
    });
  }
  return pair;
}

/**
 * Serves `app` where the configuration says. Rejects with `ConfigError` when the port is taken or the address is not this machine's, and when it would serve plain HTTP
 * beyond this machine without being told to: then nothing is served.
 */
export async function listenPublicly(app: FastifyInstance, config: Pick<ResolvedConfig, 'listen' | 'tls' | 'plainHttp'>): Promise<void> {
  const where = config.listen;
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(sentenceFor(error, where));
    app.server.once('error', failed);
    const done = (): void => {
      app.server.off('error', failed);
      resolve();
    };
    if ('inherited' in where) app.server.listen({ fd: FIRST_INHERITED_FD }, done);
    else app.server.listen({ host: where.address, port: where.port }, done);
  });
  const bound = app.server.address();
  if (config.tls !== null || config.plainHttp || typeof bound !== 'object' || bound === null || isLoopback(bound)) return;
  app.server.close();
  throw new ConfigError(
    `plain HTTP would be served on ${bound.address}, beyond this machine, passwords and tokens included: set "tls", listen on 127.0.0.1 behind a proxy, or set "plainHttp" to true`,
    { key: 'listen' },
  );
}

/** Takes renewed certificate files into use for new connections. Throws as `readTls` does; then the old ones stay in use. */
export async function reloadTls(app: FastifyInstance, config: Pick<ResolvedConfig, 'tls'>): Promise<void> {
  const pair = await readTls(config.tls);
  const server: unknown = app.server;
  if (pair !== null && server instanceof TlsServer) server.setSecureContext(pair);
}

const isLoopback = ({ address }: AddressInfo): boolean =>
  isIPv4(address) ? address.startsWith('127.') : isIPv6(address) && (address === '::1' || address.startsWith('::ffff:127.'));

function sentenceFor(error: NodeJS.ErrnoException, where: ResolvedConfig['listen']): Error {
  if ('inherited' in where)
    return new ConfigError(`the inherited socket cannot be listened on: ${error.message}; is systemd's socket unit active?`, {
      key: 'listen',
      cause: error,
    });
  const place = `${where.address} port ${where.port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new ConfigError(`${place} is in use by another program: choose another "listen.port", or end it`, {
        key: 'listen.port',
        cause: error,
      });
    case 'EADDRNOTAVAIL':
      return new ConfigError(`${where.address} is no address of this machine`, { key: 'listen.address', cause: error });
    case 'EACCES':
      return new ConfigError(`${place} may not be listened on by this user: choose a port from 1024, or use systemd's socket activation`, {
        key: 'listen.port',
        cause: error,
      });
    default:
      return error;
  }
}
