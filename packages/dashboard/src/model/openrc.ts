/** What the file needs to know; the password is asked for when it is sourced and never stands in it. */
export type OpenrcFacts = { readonly authUrl: string; readonly userName: string; readonly projectName: string; readonly region: string };

/** An openrc.sh for the `openstack` client: unsets every `OS_*` first, then sets user, project, both domains, region and versions. */
export function openrcText({ authUrl, userName, projectName, region }: OpenrcFacts): string {
  const set = (name: string, value: string): string => `export ${name}=${quoted(value)}`;
  return `${[
    '#!/usr/bin/env bash',
    '# Source this file; it asks for the password, which is not stored here.',
    'for os_variable in $(env | sed -n \'s/^\\(OS_[A-Za-z0-9_]*\\)=.*/\\1/p\'); do unset "$os_variable"; done',
    'unset os_variable',
    set('OS_AUTH_URL', authUrl),
    set('OS_IDENTITY_API_VERSION', '3'),
    set('OS_COMPUTE_API_VERSION', '2.87'),
    set('OS_USERNAME', userName),
    set('OS_PROJECT_NAME', projectName),
    set('OS_USER_DOMAIN_NAME', 'Default'),
    set('OS_PROJECT_DOMAIN_NAME', 'Default'),
    set('OS_REGION_NAME', region),
    `printf 'Password of %s: ' ${quoted(userName)}`,
    'read -rs OS_PASSWORD && echo',
    'export OS_PASSWORD',
  ].join('\n')}\n`;
}

/** For the shell: in single quotes, whatever the text holds. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
