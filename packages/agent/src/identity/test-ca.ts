import 'reflect-metadata';
import { X509Certificate as NodeCertificate, webcrypto } from 'node:crypto';
import { certificateSubject, controllerCertificateUri, hostCertificateUri } from '@godwit/contract/certificate-names';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type HostIdentity, hostIdentity } from './host-identity.ts';

/** A certificate authority for tests: what the controller's CA does, without its database. */
export type TestCa = {
  readonly caPem: string;
  /** What a join token ends in. */
  readonly fingerprint: string;
  /** A host's identity with a key of its own, as after a join. */
  host(hostId: string, addresses: readonly string[], lifetimeMs?: number): Promise<HostIdentity>;
  /** Certificate for a request, as the controller answers Join. */
  sign(requestPem: string, hostId: string, addresses: readonly string[], lifetimeMs?: number): Promise<string>;
  controller(
    addresses: readonly string[],
  ): Promise<{ readonly privateKeyPem: string; readonly certificatePem: string; readonly caPem: string }>;
};

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const crypto = webcrypto;
const day = 86_400_000;

export async function createTestCa(): Promise<TestCa> {
  const caKeys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const ca = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Godwit test CA',
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 30 * day),
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  const caPem = `${ca.toString('pem')}\n`;
  let serial = 1;
  const issue = async (publicKey: webcrypto.CryptoKey, uri: string, addresses: readonly string[], lifetimeMs: number): Promise<string> => {
    const names: JsonGeneralName[] = [{ type: 'url', value: uri }, ...addresses.map((value) => ({ type: 'ip' as const, value }))];
    const certificate = await X509CertificateGenerator.create({
      serialNumber: (serial += 1).toString(16).padStart(16, '0'),
      subject: certificateSubject(uri),
      issuer: ca.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + lifetimeMs),
      signingAlgorithm: algorithm,
      publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        // keyEncipherment means nothing for an EC key, but QEMU refuses a critical key usage without it.
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension(names),
      ],
    });
    return `${certificate.toString('pem')}\n`;
  };
  const withKey = async (uri: string, addresses: readonly string[], lifetimeMs: number) => {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const privateKeyPem = `${PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')}\n`;
    return { privateKeyPem, certificatePem: await issue(keys.publicKey, uri, addresses, lifetimeMs), caPem };
  };
  return {
    caPem,
    fingerprint: new NodeCertificate(caPem).fingerprint256.replaceAll(':', '').toLowerCase(),
    host: async (hostId, addresses, lifetimeMs = day) => hostIdentity(await withKey(hostCertificateUri(hostId), addresses, lifetimeMs)),
    sign: async (requestPem, hostId, addresses, lifetimeMs = day) => {
      const request = new Pkcs10CertificateRequest(requestPem);
      if (!(await request.verify())) throw new Error('the request does not prove possession of its key');
      return issue(await request.publicKey.export(algorithm, ['verify']), hostCertificateUri(hostId), addresses, lifetimeMs);
    },
    controller: (addresses) => withKey(controllerCertificateUri, addresses, day),
  };
}
