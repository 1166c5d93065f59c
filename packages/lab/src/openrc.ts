import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Credentials } from './cloud/openstack-client.ts';

/** Above it Debian's client loses the hosts' capacity (2.88 moved it); below 2.56 and 2.30 its --host options are refused. */
export const openrcComputeVersion = '2.87';

/**
 * A shell file that signs in whoever sources it. It first unsets every OS_* variable: one left from another cloud (a token, a
 * domain id) would be mixed with these. Works in POSIX shells, bash and zsh.
 */
export function openrcText(credentials: Credentials, region: string): string {
  const settings: readonly (readonly [string, string])[] = [
    ['OS_AUTH_URL', credentials.authUrl],
    ['OS_IDENTITY_API_VERSION', '3'],
    ['OS_COMPUTE_API_VERSION', openrcComputeVersion],
    ['OS_USERNAME', credentials.userName],
    ['OS_PASSWORD', credentials.password],
    ['OS_PROJECT_NAME', credentials.projectName],
    ['OS_USER_DOMAIN_NAME', credentials.domainName],
    ['OS_PROJECT_DOMAIN_NAME', credentials.domainName],
    ['OS_REGION_NAME', region],
  ];
  return [
    'for os_variable in $(env | sed -n \'s/^\\(OS_[A-Za-z0-9_]*\\)=.*/\\1/p\'); do unset "$os_variable"; done',
    'unset os_variable',
    ...settings.map(([name, value]) => `export ${name}=${quoted(value)}`),
    '',
  ].join('\n');
}

/** Writes `<name>.sh` and the same as `<name>`, readable by their owner only: they hold a password. */
export async function writeOpenrc(dir: string, name: string, text: string): Promise<void> {
  for (const file of [`${name}.sh`, name]) await writeFile(path.join(dir, file), text, { mode: 0o600 });
}

/** Reads back what openrcText wrote; undefined for anything else. */
export function parseOpenrc(text: string): Credentials | undefined {
  const value = (name: string): string | undefined => {
    const found = new RegExp(`^export ${name}='((?:[^']|'\\\\'')*)'$`, 'm').exec(text)?.[1];
    return found?.replaceAll("'\\''", "'");
  };
  const [authUrl, userName, password, projectName, domainName] = [
    'OS_AUTH_URL',
    'OS_USERNAME',
    'OS_PASSWORD',
    'OS_PROJECT_NAME',
    'OS_USER_DOMAIN_NAME',
  ].map(value);
  if (authUrl === undefined || userName === undefined || password === undefined || projectName === undefined || domainName === undefined)
    return undefined;
  return { authUrl, userName, password, projectName, domainName };
}

const quoted = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`;
