import { describe, expect, it } from 'vitest';
import { linkBase } from './request-context.ts';

describe('what links begin with', () => {
  it.each([
    ['a proxy that says nothing', { host: '127.0.0.1:8774' }],
    ['a proxy that passes the name on', { host: 'cloud.example' }],
    [
      'a proxy that says what the client used',
      { host: '10.0.0.5:8774', 'x-forwarded-host': 'cloud.example', 'x-forwarded-proto': 'https' },
    ],
    ['a client that makes names up', { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' }],
    ['a client of HTTP/1.0', {}],
  ])('is the public URL, behind %s', (_what, headers) => {
    expect(linkBase('https://cloud.example', headers)).toBe('https://cloud.example');
    expect(linkBase('https://cloud.example/godwit', headers)).toBe('https://cloud.example/godwit');
  });

  it.each([
    ['http://127.0.0.1:8774', { host: '10.0.0.5:8774' }, 'http://10.0.0.5:8774'],
    ['https://localhost:8774', { host: '10.0.0.5:8774' }, 'https://10.0.0.5:8774'],
    ['http://127.0.0.1:8774', { host: 'x', 'x-forwarded-host': 'lab.example', 'x-forwarded-proto': 'https' }, 'https://lab.example'],
    ['http://127.0.0.1:8774', { host: 'a b' }, 'http://127.0.0.1:8774'],
    ['http://127.0.0.1:8774', {}, 'http://127.0.0.1:8774'],
  ])('is what the client used, where the public URL (%s) is this machine alone: %o', (publicUrl, headers, base) => {
    expect(linkBase(publicUrl, headers)).toBe(base);
  });
});
