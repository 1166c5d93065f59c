import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { givenKeypair, newKeypair } from './keypair-material.ts';

const names = { comment: 'my key', user: 'b7e1' };

test('a new ssh key: its parts belong together, and brought along again it is the same', async () => {
  const { publicKey, privateKey, fingerprint } = await newKeypair('ssh', names);
  expect(publicKey).toMatch(/^ssh-rsa \S+ my-key$/);
  const modulus = createPublicKey(createPrivateKey(privateKey ?? '')).export({ format: 'jwk' }).n ?? '';
  expect(Buffer.from(publicKey.split(' ')[1] ?? '', 'base64').includes(Buffer.from(modulus, 'base64url'))).toBe(true);
  expect(givenKeypair('ssh', ` ${publicKey}\n`)).toEqual({ publicKey, fingerprint, privateKey: null });
});

test('a new certificate is its user’s, is signed by the key that is given with it, and is known by its SHA-1', async () => {
  const { publicKey, privateKey, fingerprint } = await newKeypair('x509', names);
  const certificate = new X509Certificate(publicKey);
  expect(certificate.subject).toBe('CN=b7e1');
  expect(certificate.checkPrivateKey(createPrivateKey(privateKey ?? ''))).toBe(true);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(fingerprint.replaceAll(':', '')).toBe(createHash('sha1').update(certificate.raw).digest('hex'));
  expect(givenKeypair('x509', publicKey).fingerprint).toBe(fingerprint);
});

test.each([
  ['ssh', 'ssh-rsa AAAA x'],
  ['ssh', 'nonsense'],
  ['x509', 'ssh-rsa AAAA x'],
  ['x509', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
] as const)('what is no %s key is refused: %s', (type, text) => {
  expect(() => givenKeypair(type, text)).toThrow(/Keypair data is invalid/);
});
