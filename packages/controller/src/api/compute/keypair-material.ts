// The library asks for it when it is loaded.
import 'reflect-metadata';
import { createHash, generateKeyPair, X509Certificate as ReadCertificate } from 'node:crypto';
import { promisify } from 'node:util';
import { GodwitError } from '@godwit/domain/errors';
import { PemConverter, X509CertificateGenerator } from '@peculiar/x509';

/** What a key pair is made of; the private part is shown once and kept nowhere. */
export type KeypairMaterial = { readonly publicKey: string; readonly fingerprint: string; readonly privateKey: string | null };

const rsaBits = 2048;
const validYears = 10;

/** What the caller brings along. Throws BadRequest for what is no public key of that type. */
export function givenKeypair(type: 'ssh' | 'x509', publicKey: string): KeypairMaterial {
  const text = publicKey.trim();
  return { publicKey: text, fingerprint: type === 'ssh' ? sshFingerprint(text) : certificateFingerprint(text), privateKey: null };
}

/** A new one: an RSA key, as ssh writes it with `comment`, or in a certificate that it has signed itself, for `user`. */
export async function newKeypair(
  type: 'ssh' | 'x509',
  names: { readonly comment: string; readonly user: string },
): Promise<KeypairMaterial> {
  if (type === 'x509') return newCertificate(names.user);
  const { publicKey, privateKey } = await newSshKey(names.comment);
  return { publicKey, fingerprint: sshFingerprint(publicKey), privateKey };
}

/** MD5 of the key's own bytes, as this API has always shown it. */
function sshFingerprint(publicKey: string): string {
  const [kind = '', data = ''] = publicKey.split(/\s+/);
  const bytes = Buffer.from(data, 'base64');
  // The bytes begin with the kind again, as a counted text.
  const holdsItsKind =
    bytes.length > 4 + kind.length &&
    bytes.readUInt32BE(0) === kind.length &&
    bytes.subarray(4, 4 + kind.length).toString('latin1') === kind;
  if (kind === '' || !holdsItsKind) throw new GodwitError('BadRequest', 'Keypair data is invalid: failed to generate fingerprint');
  return createHash('md5')
    .update(bytes)
    .digest('hex')
    .replace(/(..)(?!$)/g, '$1:');
}

/** SHA-1 of the certificate, as this API shows it. */
function certificateFingerprint(pem: string): string {
  try {
    return new ReadCertificate(pem).fingerprint.toLowerCase();
  } catch (error) {
    throw new GodwitError('BadRequest', 'Keypair data is invalid: failed to generate X509 fingerprint', {}, { cause: error });
  }
}

async function newCertificate(user: string): Promise<KeypairMaterial> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: rsaBits, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const notBefore = new Date();
  const notAfter = new Date(notBefore);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + validYears);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [user] }],
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    keys,
  });
  const publicKey = certificate.toString('pem');
  const privateKey = PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { publicKey, fingerprint: certificateFingerprint(publicKey), privateKey };
}

async function newSshKey(comment: string): Promise<{ publicKey: string; privateKey: string }> {
  const pair = await promisify(generateKeyPair)('rsa', { modulusLength: rsaBits });
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const counted = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  // A number whose first bit is set would be read as negative.
  const number = (base64url: string | undefined): Buffer => {
    const bytes = Buffer.from(base64url ?? '', 'base64url');
    return counted((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
  };
  const blob = Buffer.concat([counted(Buffer.from('ssh-rsa')), number(jwk.e), number(jwk.n)]);
  return {
    publicKey: `ssh-rsa ${blob.toString('base64')} ${comment.replaceAll(' ', '-')}`,
    privateKey: pair.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
  };
}
