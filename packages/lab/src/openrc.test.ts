import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openrcText, parseOpenrc } from './openrc.ts';

const credentials = {
  authUrl: 'http://127.0.0.1:8774/identity/v3',
  userName: 'admin',
  password: `a'b"c$d e`,
  projectName: 'admin',
  domainName: 'Default',
};

describe.each(['sh', 'bash'])('sourced by %s', (shell) => {
  test('sets exactly what signs in, and nothing of another cloud is left', () => {
    const output = execFileSync(shell, ['-c', `${openrcText(credentials, 'RegionOne')}\nenv`], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, OS_TOKEN: 'of another cloud', OS_PROJECT_ID: 'x y', OS_CLOUD: 'z' },
    });
    const set = Object.fromEntries(
      output
        .split('\n')
        .filter((line) => /^os_/i.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    expect(set).toEqual({
      OS_AUTH_URL: credentials.authUrl,
      OS_IDENTITY_API_VERSION: '3',
      OS_COMPUTE_API_VERSION: '2.87',
      OS_USERNAME: 'admin',
      OS_PASSWORD: credentials.password,
      OS_PROJECT_NAME: 'admin',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_REGION_NAME: 'RegionOne',
    });
  });
});

test('what was written is read back, whatever the password', () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !/[\n\r\0]/.test(text)),
      (password) => {
        expect(parseOpenrc(openrcText({ ...credentials, password }, 'RegionOne'))).toEqual({ ...credentials, password });
      },
    ),
  );
  expect(parseOpenrc('export OS_AUTH_URL=nothing')).toBeUndefined();
});
