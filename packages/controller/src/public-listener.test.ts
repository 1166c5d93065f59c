import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenPublicly, readTls, reloadTls } from './public-listener.ts';

const loopback = { listen: { address: '127.0.0.1', port: 0 }, tls: null, plainHttp: false } as const;

describe('the public listener', () => {
  let directory: string;
  let open: FastifyInstance[] = [];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gw-listen-'));
  });
  afterEach(async () => {
    await Promise.all(open.map((app) => app.close()));
    open = [];
    await rm(directory, { recursive: true, force: true });
  });

  /** A certificate of its own with its key, as files. */
  const files = async (name: string) => {
    const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({ name: `CN=${name}`, keys });
    const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
    const tls = { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
    await writeFile(tls.certificate, certificate.toString('pem'));
    await writeFile(tls.key, `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`);
    return tls;
  };
  const app = async (tls: Parameters<typeof readTls>[0] = null): Promise<FastifyInstance> => {
    const pair = await readTls(tls);
    const made = (pair === null ? Fastify() : Fastify({ https: pair })) as unknown as FastifyInstance;
    made.get('/', async () => 'here');
    await made.ready();
    open.push(made);
    return made;
  };
  const portOf = (of: FastifyInstance): number => (of.server.address() as AddressInfo).port;
  /** Whom a client that connects now is shown. */
  const shown = async (port: number): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
        const { subject } = socket.getPeerCertificate();
        socket.destroy();
        resolve(subject === undefined ? undefined : String(subject.CN));
      });
      socket.once('error', reject);
    });

  it('serves plain HTTP on loopback, and refuses it beyond unless told to', async () => {
    const here = await app();
    await listenPublicly(here, loopback);
    expect(await (await fetch(`http://127.0.0.1:${portOf(here)}/`)).text()).toBe('here');
    const everywhere = { ...loopback, listen: { address: '0.0.0.0', port: 0 } };
    const refused = await app();
    await expect(listenPublicly(refused, everywhere)).rejects.toMatchObject({
      name: 'ConfigError',
      message: /plain HTTP .*"tls".*"plainHttp"/,
    });
    expect(refused.server.listening).toBe(false);
    const allowed = await app();
    await listenPublicly(allowed, { ...everywhere, plainHttp: true });
    expect(allowed.server.listening).toBe(true);
  });

  it('serves TLS, and a renewed certificate without a restart; a broken one changes nothing', async () => {
    const tls = await files('first');
    const served = await app(tls);
    await listenPublicly(served, { ...loopback, tls });
    expect(await shown(portOf(served))).toBe('first');
    const second = await files('second');
    await reloadTls(served, { tls: second });
    expect(await shown(portOf(served))).toBe('second');
    await expect(reloadTls(served, { tls: { certificate: second.certificate, key: tls.key } })).rejects.toMatchObject({
      name: 'ConfigError',
    });
    expect(await shown(portOf(served))).toBe('second');
  });

  it('names the file that is not there', async () => {
    await expect(readTls({ certificate: join(directory, 'none.crt'), key: '/none' })).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringContaining('"tls.certificate": '),
      key: 'tls.certificate',
    });
  });

  it('says in one sentence that the port is taken, or the address is no one of this machine', async () => {
    const first = await app();
    await listenPublicly(first, loopback);
    const listen = { address: '127.0.0.1', port: portOf(first) };
    await expect(listenPublicly(await app(), { ...loopback, listen })).rejects.toThrow(
      `127.0.0.1 port ${listen.port} is in use by another program`,
    );
    await expect(listenPublicly(await app(), { ...loopback, listen: { address: '192.0.2.1', port: 1 } })).rejects.toThrow(
      '192.0.2.1 is no address of this machine',
    );
  });
});
