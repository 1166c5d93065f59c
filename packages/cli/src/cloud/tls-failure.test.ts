import { expect, it } from 'vitest';
import { tlsFailure } from './tls-failure.ts';

const told = (code: string, message = 'm', caFile: string | null = null) =>
  tlsFailure(Object.assign(new Error(message), { code }), 'https://c:1', caFile);

it.each([
  ['CERT_HAS_EXPIRED', 'The certificate of https://c:1 has expired.', 'clock'],
  ['CERT_NOT_YET_VALID', 'The certificate of https://c:1 is not valid yet.', 'clock'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'The certificate of https://c:1 is for another name: m', 'OS_AUTH_URL'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'https://c:1 does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER).', 'http://'],
])('%s is one sentence with its remedy', (code, sentence, remedy) => {
  expect(told(code)).toEqual({ sentence, next: expect.stringContaining(remedy) });
});

it('what is not about TLS is left to others', () => {
  expect(told('ECONNREFUSED')).toBeNull();
  expect(tlsFailure(new Error('nothing was heard'), 'https://c:1', null)).toBeNull();
});
