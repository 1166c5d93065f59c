import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';

/** The user as whom PostgreSQL runs. */
export type DatabaseUser = { readonly name: string; readonly uid: number; readonly gid: number };

const candidates = ['godwit', 'postgres', 'nobody'];

/** PostgreSQL refuses to run as root: then it runs as the first of godwit, postgres and nobody that exists; otherwise as the current user. */
export async function databaseUser(): Promise<DatabaseUser> {
  if (process.getuid?.() !== 0) {
    const { username, uid, gid } = userInfo();
    return { name: username, uid, gid };
  }
  const users = parsePasswd(await readFile('/etc/passwd', 'utf8'));
  for (const name of candidates) {
    const user = users.find((entry) => entry.name === name && entry.uid !== 0);
    if (user !== undefined) return user;
  }
  throw new Error(`PostgreSQL does not run as root, and none of the users ${candidates.join(', ')} exists here`);
}

/** The entries of a passwd file; malformed lines are passed over. */
export function parsePasswd(text: string): readonly DatabaseUser[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    if (name === undefined || uid === undefined || gid === undefined || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}
