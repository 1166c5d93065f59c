import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { openrcText } from './openrc.ts';

it('sets what the client needs, forgets what was set before, and takes hostile names as they are', () => {
  const text = openrcText({
    authUrl: 'http://127.0.0.1:8774/identity/v3',
    userName: "o'neil $(id)",
    projectName: 'demo',
    region: 'RegionOne',
  });
  const script = `${text}\nenv | grep ^OS_ | sort`;
  const out = execFileSync('bash', ['--norc', '--noprofile', '-c', script], {
    input: 'secret word\n',
    env: { PATH: process.env['PATH'] ?? '', OS_TOKEN: 'left over', OS_CLOUD: 'other' },
  }).toString();
  const shown = Object.fromEntries(
    out
      .split('\n')
      .filter((line) => line.startsWith('OS_'))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  expect(shown).toEqual({
    OS_AUTH_URL: 'http://127.0.0.1:8774/identity/v3',
    OS_COMPUTE_API_VERSION: '2.87',
    OS_IDENTITY_API_VERSION: '3',
    OS_PASSWORD: 'secret word',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_PROJECT_NAME: 'demo',
    OS_REGION_NAME: 'RegionOne',
    OS_USERNAME: "o'neil $(id)",
    OS_USER_DOMAIN_NAME: 'Default',
  });
});
