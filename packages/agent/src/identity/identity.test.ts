import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createCertificateRequest } from './certificate-request.ts';
import { hostIdentity, loadHostIdentity, storeHostIdentity, tlsDirectory } from './host-identity.ts';
import { parseJoinToken } from './join-token.ts';
import { keepRenewed, renewAtMs } from './renewal.ts';
import { createTestCa } from './test-ca.ts';

const hostId = '11111111-1111-4111-8111-111111111111';
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gw-identity-'));
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(directory, { recursive: true, force: true });
});

test('a stored identity reads back and a second one replaces it whole', async () => {
  const ca = await createTestCa();
  expect(await loadHostIdentity(directory)).toBeNull();
  const [first, second] = [await ca.host(hostId, ['10.0.0.1']), await ca.host(hostId, ['10.0.0.2'])];
  await storeHostIdentity(directory, first);
  await storeHostIdentity(directory, second);
  expect(await loadHostIdentity(directory)).toEqual(second);
  expect(await readFile(join(tlsDirectory(directory), 'client-key.pem'), 'utf8')).toBe(second.privateKeyPem);
  expect((await readdir(directory)).filter((name) => name.startsWith('tls-'))).toHaveLength(1);
});

test('a certificate of another CA, or of no host, is no identity', async () => {
  const [ca, stranger] = [await createTestCa(), await createTestCa()];
  const host = await ca.host(hostId, ['10.0.0.1']);
  expect(() => hostIdentity({ ...host, caPem: stranger.caPem })).toThrow('not issued by');
  expect(() => hostIdentity({ ...host, certificatePem: ca.caPem })).toThrow('speaks for no host');
});

test('a request carries proof of its key and nothing the CA has to believe', async () => {
  const ca = await createTestCa();
  const request = await createCertificateRequest('node1');
  const identity = hostIdentity({
    privateKeyPem: request.privateKeyPem,
    certificatePem: await ca.sign(request.requestPem, hostId, ['10.0.0.1']),
    caPem: ca.caPem,
  });
  expect(identity.hostId).toBe(hostId);
});

test.each(['', 'abc', `short.${'0'.repeat(64)}`, `${'s'.repeat(20)}.${'0'.repeat(63)}`, `${'s'.repeat(20)}.${'G'.repeat(64)}`])(
  'a damaged token %j is refused without repeating it',
  (text) => {
    expect(() => parseJoinToken(text)).toThrow('is not `<secret>.<sha256');
  },
);

test('a certificate is renewed at two thirds of its life, again after a failure, and used', async () => {
  vi.useFakeTimers();
  const ca = await createTestCa();
  const first = await ca.host(hostId, ['10.0.0.1'], 3_600_000);
  const second = await ca.host(hostId, ['10.0.0.1'], 7_200_000);
  const failures: unknown[] = [];
  const used: unknown[] = [];
  let attempts = 0;
  const renewal = keepRenewed(
    first,
    () => ((attempts += 1) === 1 ? Promise.reject(new Error('away')) : Promise.resolve(second)),
    (next) => Promise.resolve(void used.push(next)),
    (error) => failures.push(error),
  );
  await vi.advanceTimersByTimeAsync(renewAtMs(first) - Date.now() - 1_000);
  expect(attempts).toBe(0);
  await vi.advanceTimersByTimeAsync(2_000);
  expect([attempts, failures.length]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(900_000);
  expect(used).toEqual([second]);
  renewal.stop();
});
