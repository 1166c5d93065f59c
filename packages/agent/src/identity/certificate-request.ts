import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { PemConverter, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

export type CertificateRequest = { readonly privateKeyPem: string; readonly requestPem: string };

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * A new P-256 key and a request that proves its possession. The request names nothing that the cluster should believe: the CA
 * writes host id and addresses into the certificate from its own records.
 */
export async function createCertificateRequest(hostName: string): Promise<CertificateRequest> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({ name: [{ CN: [hostName] }], keys, signingAlgorithm: algorithm });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { privateKeyPem: PemConverter.encode(pkcs8, 'PRIVATE KEY'), requestPem: request.toString('pem') };
}
