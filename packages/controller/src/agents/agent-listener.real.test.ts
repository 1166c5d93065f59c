import 'reflect-metadata';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { certificateRole } from '@godwit/contract/certificate-names';
import { Cluster } from '@godwit/contract/gen/join_pb';
import { PemConverter, Pkcs10CertificateRequestGenerator, X509Certificate } from '@peculiar/x509';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { authorities } from '../auth/certificate-authority.ts';
import { createAuthority, issueForNewKey } from '../auth/issue-certificate.ts';
import { createJoinToken, JOIN_AGAIN_MS } from '../auth/join-token.ts';
import { type OwnCertificate, ownCertificate } from '../auth/own-certificate.ts';
import { deleteHost } from '../hosts/delete-host.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { fakeFacts } from '../workflows/testing/fake-agents.ts';
import { type AgentListener, startAgentListener } from './agent-listener.ts';
import type { ReportedRelease } from './cluster-service.ts';

const log = pino({ level: 'silent' });
let postgres: TestServer;
let database: Database;
let own: OwnCertificate;
let listener: AgentListener;
let directory: string;
const imageId = '11111111-1111-4111-8111-111111111111';
const releases: { readonly from: string; readonly release: ReportedRelease }[] = [];
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  directory = await mkdtemp(join(tmpdir(), 'gw-listener-'));
  await writeFile(join(directory, imageId), 'an image');
  own = await ownCertificate(database.db, ['127.0.0.1'], log);
  releases.length = 0;
  listener = await startAgentListener({
    db: database.db,
    log,
    own,
    listen: { address: '127.0.0.1', port: 0 },
    imageFile: async (id) => (id === imageId ? join(directory, id) : null),
    onHostChanged: () => {},
    onRelease: async (from, release) => {
      releases.push({ from, release });
    },
  });
});
afterEach(async () => {
  await listener.close();
  own.stop();
  await database.close();
  await rm(directory, { recursive: true, force: true });
});

type Identity = { readonly certificatePem: string; readonly privateKeyPem: string };
const url = () => `https://127.0.0.1:${listener.port}`;
const options = (identity: Identity | null) => ({
  ca: own.current().authorities.bundlePem,
  ...(identity === null ? {} : { cert: identity.certificatePem, key: identity.privateKeyPem }),
});
const client = (identity: Identity | null = null) =>
  createClient(Cluster, createConnectTransport({ baseUrl: url(), httpVersion: '2', nodeOptions: options(identity) }));

async function request(): Promise<{ readonly pem: string; readonly privateKeyPem: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=whatever', keys, signingAlgorithm: algorithm });
  return {
    pem: made.toString('pem'),
    privateKeyPem: PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY'),
  };
}

type Request = Awaited<ReturnType<typeof request>>;
async function joined(name: string, over: { readonly token?: string; readonly zone?: string; readonly request?: Request } = {}) {
  const { pem, privateKeyPem } = over.request ?? (await request());
  const token = over.token ?? (await createJoinToken(database.db, name));
  const answer = await client().join({
    token,
    hostName: name,
    certificateRequestPem: pem,
    address: '127.0.0.1',
    rpcPort: 8781,
    bootId: 'b1',
    zone: over.zone ?? '',
    factsJson: JSON.stringify(fakeFacts(name)),
  });
  return { hostId: answer.hostId, certificatePem: answer.certificatePem, privateKeyPem };
}
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: unknown) => Code[ConnectError.from(error).code],
  );

describe('join', () => {
  it('gives a host an identity that the listener then knows, and puts it in its zone', async () => {
    const host = await joined('node1', { zone: 'az1' });
    const alternative = new X509Certificate(host.certificatePem).getExtension('2.5.29.17')?.toString('text') ?? '';
    expect(alternative).toContain(`spiffe://godwit/host/${host.hostId}`);
    const row = await database.db.selectFrom('host').selectAll().where('id', '=', host.hostId).executeTakeFirstOrThrow();
    expect(row).toMatchObject({ name: 'node1', address: '127.0.0.1', rpc_port: 8781, hypervisor_type: 'QEMU', reachable: false });
    const zone = await database.db
      .selectFrom('aggregate')
      .innerJoin('aggregate_host', 'aggregate_id', 'id')
      .select(['name', 'metadata', 'host_id'])
      .execute();
    expect(zone).toEqual([{ name: 'az1', metadata: { availability_zone: 'az1' }, host_id: host.hostId }]);
    const renewal = await request();
    const renewed = await client(host).renew({ certificateRequestPem: renewal.pem, address: '127.0.0.2', rpcPort: 8782, bootId: 'b1' });
    expect(certificateRole(`URI:spiffe://godwit/host/${host.hostId}`)).toEqual({ role: 'host', hostId: host.hostId });
    expect(
      await codeOf(
        client({ certificatePem: renewed.certificatePem, privateKeyPem: renewal.privateKeyPem }).reportRelease({ serverId: 's' }),
      ),
    ).toBe('ok');
    expect((await database.db.selectFrom('host').select('address').executeTakeFirstOrThrow()).address).toBe('127.0.0.2');
  });

  it('a host that was deleted and joins again keeps its identity, and is in its zone and enabled as a new one', async () => {
    const { hostId } = await joined('node1', { zone: 'az1' });
    await database.db.updateTable('host').set({ enabled: false, disabled_reason: 'old', forced_down: true }).execute();
    await deleteHost(database.db, hostId);
    expect(await database.db.selectFrom('aggregate_host').selectAll().execute()).toEqual([]);
    expect((await joined('node1', { zone: 'az1' })).hostId).toBe(hostId);
    expect(await database.db.selectFrom('aggregate_host').select('host_id').execute()).toEqual([{ host_id: hostId }]);
    expect(await database.db.selectFrom('host').selectAll().executeTakeFirstOrThrow()).toMatchObject({
      enabled: true,
      disabled_reason: null,
      forced_down: false,
      deleted_at: null,
    });
  });

  it('hosts of one zone that join at once share its aggregate', async () => {
    await Promise.all(['node1', 'node2', 'node3', 'node4'].map((name) => joined(name, { zone: 'az1' })));
    expect(await database.db.selectFrom('aggregate').select('name').execute()).toHaveLength(1);
    expect(await database.db.selectFrom('aggregate_host').selectAll().execute()).toHaveLength(4);
  });

  it('takes a token once, even if the host is refused, and none that is unknown, expired or for another', async () => {
    const token = await createJoinToken(database.db, null);
    await joined('node1', { token });
    expect(await codeOf(joined('node2', { token }))).toBe('Unauthenticated');
    expect(await codeOf(joined('node2', { token: `${'x'.repeat(32)}.${'0'.repeat(64)}` }))).toBe('Unauthenticated');
    const other = await createJoinToken(database.db, 'node3');
    expect(await codeOf(joined('node2', { token: other }))).toBe('PermissionDenied');
    expect(await codeOf(joined('node3', { token: other }))).toBe('Unauthenticated');
    const old = await createJoinToken(database.db, null);
    await database.db
      .updateTable('join_token')
      .set({ expires_at: new Date(0) })
      .where(
        'secret_hash',
        '=',
        createHash('sha256')
          .update(old.split('.')[0] ?? '')
          .digest('hex'),
      )
      .execute();
    expect(await codeOf(joined('node2', { token: old }))).toBe('Unauthenticated');
    const parallel = await createJoinToken(database.db, null);
    const answers = await Promise.all(['p1', 'p2', 'p3'].map((name) => codeOf(joined(name, { token: parallel }))));
    expect(answers.toSorted()).toEqual(['Unauthenticated', 'Unauthenticated', 'ok']);
    expect(await database.db.selectFrom('host').select('name').execute()).toHaveLength(2);
  });

  it('answers a join again whose answer was lost: to the same key, for a while, and never to a second host', async () => {
    const token = await createJoinToken(database.db, null);
    const lost = await request();
    const first = await joined('node1', { token, zone: 'az1', request: lost });
    const again = await joined('node1', { token, zone: 'az1', request: lost });
    expect(again.hostId).toBe(first.hostId);
    expect(await codeOf(client(again).reportRelease({ serverId: 's' }))).toBe('ok');
    expect(await database.db.selectFrom('host').select('name').execute()).toEqual([{ name: 'node1' }]);
    expect(await codeOf(joined('node1', { token }))).toBe('Unauthenticated');
    expect(await codeOf(joined('node2', { token }))).toBe('Unauthenticated');
    expect(await codeOf(joined('node2', { token, request: lost }))).toBe('Unauthenticated');
    await database.db
      .updateTable('join_token')
      .set({ used_at: new Date(Date.now() - JOIN_AGAIN_MS) })
      .execute();
    expect(await codeOf(joined('node1', { token, request: lost }))).toBe('Unauthenticated');
    await database.db.updateTable('join_token').set({ used_at: new Date() }).execute();
    expect(await codeOf(joined('node1', { token, request: lost }))).toBe('ok');
    // Who was removed meanwhile does not come back by it.
    await deleteHost(database.db, first.hostId);
    expect(await codeOf(joined('node1', { token, request: lost }))).toBe('Unauthenticated');
    expect(await database.db.selectFrom('host').select('name').execute()).toHaveLength(1);
  });

  it('answers it too when the controller died between taking the token and entering the host', async () => {
    const token = await createJoinToken(database.db, null);
    const begun = await request();
    const used = { used_at: new Date(), request_hash: createHash('sha256').update(begun.pem).digest('hex') };
    await database.db.updateTable('join_token').set(used).execute();
    expect(await codeOf(joined('node1', { token }))).toBe('Unauthenticated');
    expect(await codeOf(joined('node1', { token, request: begun }))).toBe('ok');
  });

  it('lets a known host back only by a token made for its name; it keeps its id', async () => {
    const first = await joined('node1');
    expect(await codeOf(joined('node1', { token: await createJoinToken(database.db, null) }))).toBe('FailedPrecondition');
    expect((await joined('node1')).hostId).toBe(first.hostId);
  });

  it('refuses a request that does not prove its key, facts that are none, and an address that is none', async () => {
    const { pem } = await request();
    const ask = async (over: object) =>
      codeOf(
        client().join({
          token: await createJoinToken(database.db, null),
          hostName: 'node1',
          certificateRequestPem: pem,
          address: '127.0.0.1',
          rpcPort: 8781,
          bootId: 'b',
          zone: '',
          factsJson: JSON.stringify(fakeFacts('node1')),
          ...over,
        }),
      );
    const lines = pem.split('\n');
    const broken = lines
      .map((line, index) => (index === lines.length - 2 ? line.replace(/[A-Za-z]/, (letter) => (letter === 'A' ? 'B' : 'A')) : line))
      .join('\n');
    expect(await ask({ certificateRequestPem: broken, hostName: 'node9' })).toBe('InvalidArgument');
    expect(await ask({ certificateRequestPem: 'x', hostName: 'node8' })).toBe('InvalidArgument');
    expect(await ask({ factsJson: '{' })).toBe('InvalidArgument');
    expect(await ask({ factsJson: '{"hypervisorType":"VMware"}' })).toBe('InvalidArgument');
    expect(await ask({ address: 'example.org' })).toBe('InvalidArgument');
    expect(await ask({ hostName: '../x' })).toBe('InvalidArgument');
  });
});

describe('without an identity of this cluster', () => {
  it('nothing but join is answered: no certificate, another authority, a removed host', async () => {
    const stranger = await issueForNewKey(
      await createAuthority(3_600_000),
      'spiffe://godwit/host/99999999-9999-4999-8999-999999999999',
      ['127.0.0.1'],
      3_600_000,
    );
    const host = await joined('node1');
    await database.db.updateTable('host').set({ deleted_at: new Date() }).execute();
    const { pem } = await request();
    for (const identity of [null, stranger, host]) {
      expect(await codeOf(client(identity).renew({ certificateRequestPem: pem, address: '127.0.0.1', rpcPort: 1, bootId: 'b' }))).toBe(
        'Unauthenticated',
      );
      expect(await codeOf(client(identity).reportRelease({ serverId: 's' }))).toBe('Unauthenticated');
    }
    expect((await get(null, imageId)).status).toBe(401);
    expect((await get(stranger, imageId)).status).toBe(401);
    expect(releases).toEqual([]);
  });
});

describe('images', () => {
  it('are streamed to a host, and only existing ones', async () => {
    const host = await joined('node1');
    expect(await get(host, imageId)).toEqual({ status: 200, body: 'an image' });
    expect((await get(host, '22222222-2222-4222-8222-222222222222')).status).toBe(404);
  });
});

describe('the authorities', () => {
  it('are made once by controllers that start at once, and a successor signs only when everybody can know it', async () => {
    const fresh = await postgres.database();
    const made = await Promise.all([1, 2, 3, 4].map(() => authorities(fresh.db)));
    expect(new Set(made.map((one) => one.fingerprint)).size).toBe(1);
    const rotated = await authorities(fresh.db, { force: true });
    expect(rotated.fingerprint).toBe(made[0]?.fingerprint);
    expect(rotated.bundlePem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    await fresh.db
      .updateTable('certificate_authority')
      .set({ active_from: new Date(0) })
      .execute();
    expect((await authorities(fresh.db)).fingerprint).not.toBe(made[0]?.fingerprint);
    await fresh.close();
  });
});

async function get(identity: Identity | null, id: string): Promise<{ readonly status: number; readonly body: string }> {
  const session = connectHttp2(url(), options(identity));
  try {
    return await new Promise((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({ ':path': `/images/${id}/file` });
      let status = 0;
      let body = '';
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('data', (data: Buffer) => {
        body += data.toString();
      });
      stream.once('end', () => resolve({ status, body }));
      stream.once('error', reject);
    });
  } finally {
    session.close();
  }
}
