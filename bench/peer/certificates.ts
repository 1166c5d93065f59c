import { execFile } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const days = '1';

/**
 * A CA, and one certificate for each address, for both ends: P-256 as Godwit's own. `dir/ca` keeps the CA; `dir/<address>` is what libvirt and its QEMU read, with Diffie-Hellman
 * parameters beside it, without which QEMU would make some in the middle of each migration.
 */
export async function makePeerCertificates(dir: string, addresses: readonly string[]): Promise<void> {
  const ca = path.join(dir, 'ca');
  const caCertificate = path.join(ca, 'ca-cert.pem');
  const caKey = path.join(ca, 'ca-key.pem');
  await mkdir(ca, { recursive: true, mode: 0o700 });
  await openssl('genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt', 'group:ffdhe2048', '-out', path.join(ca, 'dh-params.pem'));
  await newKey(caKey);
  const caConfig = path.join(ca, 'config');
  await writeFile(
    caConfig,
    '[req]\ndistinguished_name=name\nx509_extensions=ca\n[name]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n',
  );
  await openssl(
    'req',
    '-x509',
    '-new',
    '-config',
    caConfig,
    '-key',
    caKey,
    '-days',
    days,
    '-subj',
    '/CN=bench peer CA',
    '-out',
    caCertificate,
  );
  for (const address of addresses) {
    const host = path.join(dir, address);
    const at = (name: string): string => path.join(host, name);
    await mkdir(host, { recursive: true, mode: 0o700 });
    await newKey(at('server-key.pem'));
    await openssl('req', '-new', '-key', at('server-key.pem'), '-subj', `/CN=${address}`, '-out', at('request.pem'));
    await writeFile(
      at('extensions'),
      `subjectAltName=IP:${address}\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n`,
    );
    const signed = ['-CA', caCertificate, '-CAkey', caKey, '-CAcreateserial', '-days', days, '-extfile', at('extensions')];
    await openssl('x509', '-req', '-in', at('request.pem'), ...signed, '-out', at('server-cert.pem'));
    // libvirt's own names, then QEMU's.
    for (const [from, to] of [
      [caCertificate, 'cacert.pem'],
      [caCertificate, 'ca-cert.pem'],
      [at('server-cert.pem'), 'clientcert.pem'],
      [at('server-cert.pem'), 'client-cert.pem'],
      [at('server-key.pem'), 'clientkey.pem'],
      [at('server-key.pem'), 'client-key.pem'],
      [path.join(ca, 'dh-params.pem'), 'dh-params.pem'],
    ] as const)
      await copyFile(from, at(to));
  }
}

const openssl = (...words: string[]) => run('openssl', words);
const newKey = (file: string) => openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file);
