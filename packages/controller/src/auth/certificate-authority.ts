import { X509Certificate } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { createAuthority, type KeyedCertificate } from './issue-certificate.ts';

/** The cluster's authorities as of now: the one that issues, and the PEM bundle of all that are trusted. */
export type Authorities = { readonly issuing: KeyedCertificate; readonly bundlePem: string; readonly fingerprint: string };

const DAY_MS = 86_400_000;
const LIFETIME_MS = 3_650 * DAY_MS;
/** Certificates of hosts and controllers; renewed at two thirds. */
export const LEAF_LIFETIME_MS = 30 * DAY_MS;
// A successor signs only when every holder of a certificate has renewed, and so learnt of it, since it was made.
const SUCCESSOR_WAITS_MS = LEAF_LIFETIME_MS;
const ROTATE_BEFORE_MS = 365 * DAY_MS;
// Names this lock among the database's advisory locks.
const AUTHORITY_LOCK = 0x60d5ca;

/**
 * Reads the authorities; makes the first one, or a successor when the newest has less than a year left. Several controllers may call it at once.
 * `force` makes a successor now (rotation after a leak).
 */
export async function authorities(db: Db, options: { readonly force?: boolean } = {}): Promise<Authorities> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${AUTHORITY_LOCK})`.execute(tx);
    const read = () => tx.selectFrom('certificate_authority').selectAll().where('not_after', '>', new Date()).orderBy('id').execute();
    let rows = await read();
    const newest = rows.at(-1);
    if (newest === undefined || options.force === true || newest.not_after.getTime() - Date.now() < ROTATE_BEFORE_MS) {
      const made = await createAuthority(LIFETIME_MS);
      const activeFrom = new Date(newest === undefined ? Date.now() : Date.now() + SUCCESSOR_WAITS_MS);
      await tx
        .insertInto('certificate_authority')
        .values({
          certificate_pem: made.certificatePem,
          private_key_pem: made.privateKeyPem,
          not_after: made.notAfter,
          active_from: activeFrom,
        })
        .execute();
      rows = await read();
    }
    const active = rows.filter((row) => row.active_from.getTime() <= Date.now());
    const issuing = active.at(-1) ?? rows[0];
    if (issuing === undefined) throw new Error('the database has no certificate authority');
    return {
      issuing: { certificatePem: issuing.certificate_pem, privateKeyPem: issuing.private_key_pem, notAfter: issuing.not_after },
      // The issuing one first: a server's chain shows it, and tokens name it.
      bundlePem: [issuing, ...rows.filter((row) => row.id !== issuing.id)].map((row) => row.certificate_pem.trim()).join('\n') + '\n',
      fingerprint: new X509Certificate(issuing.certificate_pem).fingerprint256.replaceAll(':', '').toLowerCase(),
    };
  });
}
