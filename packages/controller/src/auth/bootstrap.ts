import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { generatePassword, hashPassword } from './passwords.ts';

export type Bootstrapped =
  | { readonly created: true; readonly userName: 'admin'; readonly projectName: 'admin'; readonly password: string }
  | { readonly created: false };

/**
 * Makes what a new cloud needs to be logged in to: domain Default, roles admin, member and reader, project and user `admin`. When it returns `created`, the
 * password it holds is known nowhere else. On a cloud that has a user already it changes nothing. Safe at several controllers at once.
 */
export async function bootstrapIdentity(db: Db): Promise<Bootstrapped> {
  if (await hasUser(db)) return { created: false };
  const password = generatePassword();
  const passwordHash = await hashPassword(password);
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('bootstrap_identity'))`.execute(tx);
    if (await hasUser(tx)) return { created: false };
    await tx
      .insertInto('identity_domain')
      .values({ id: 'default', name: 'Default', description: 'The default domain' })
      .onConflict((c) => c.doNothing())
      .execute();
    for (const name of ['admin', 'member', 'reader']) {
      await tx
        .insertInto('identity_role')
        .values({ id: newIdentityId(), name, description: null })
        .onConflict((c) => c.column('name').doNothing())
        .execute();
    }
    const project = newIdentityId();
    const user = newIdentityId();
    await tx
      .insertInto('identity_project')
      .values({ id: project, domain_id: 'default', name: 'admin', description: 'Made by the bootstrap' })
      .execute();
    await tx
      .insertInto('identity_user')
      .values({
        id: user,
        domain_id: 'default',
        name: 'admin',
        password_hash: passwordHash,
        email: null,
        description: null,
        default_project_id: project,
      })
      .execute();
    const role = await tx.selectFrom('identity_role').select('id').where('name', '=', 'admin').executeTakeFirstOrThrow();
    await tx.insertInto('role_assignment').values({ user_id: user, role_id: role.id, project_id: project, domain_id: null }).execute();
    await tx.insertInto('role_assignment').values({ user_id: user, role_id: role.id, project_id: null, domain_id: 'default' }).execute();
    return { created: true, userName: 'admin', projectName: 'admin', password };
  });
}

/** Ids of the identity API: 32 hex digits. */
export const newIdentityId = (): string => randomUUID().replaceAll('-', '');

async function hasUser(db: Db): Promise<boolean> {
  return (await db.selectFrom('identity_user').select('id').limit(1).executeTakeFirst()) !== undefined;
}
