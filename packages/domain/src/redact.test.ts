import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact, redacted, redactLine, redactText } from './redact.ts';

const pem = '-----BEGIN PRIVATE KEY-----\nMIIEvQ-the-key-itself\n-----END PRIVATE KEY-----';

describe('redaction', () => {
  it.each([
    ['a key', `before ${pem} after`, 'the-key-itself'],
    ['a key that is cut off', pem.slice(0, 50), 'the-key'],
    ['a token', 'got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl.', 'c2lnbmF0dXJl'],
    ['a database URL', 'postgresql://godwit:hunter22@db.example/godwit', 'hunter22'],
    ['a join token', `token is 3q2-7wABCDEFGHIJKLMNOP.${'ab'.repeat(32)}`, '3q2-7w'],
    ['a password hash', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaGhhc2g', 'aGFzaGhhc2g'],
    ['an environment variable', 'OS_PASSWORD=hunter22 openstack server list', 'hunter22'],
    ['a field in a text', '{"adminPass": "x", "password": "hunter22"', 'hunter22'],
    ['a query', 'wss://h/godwit/v1/consoles?token=abcdef.123', 'abcdef'],
    ['a header', 'authorization: Bearer abcdefghijkl', 'abcdefghijkl'],
  ])('takes %s out of a text', (_what, text, secret) => {
    expect(text).toContain(secret);
    expect(redactText(text)).not.toContain(secret);
    expect(redactLine(text)).not.toContain(secret);
  });

  it('leaves what is no secret: ids, epochs, addresses, sentences', () => {
    const told = {
      serverId: '6f1f2f0e-7d4f-4f0c-9d53-0c2f6a3b1c11',
      epochTo: 7,
      requestId: 'req-6f1f2f0e-7d4f-4f0c-9d53-0c2f6a3b1c11',
      sentence: 'The destination node2 did not answer within 5 s.',
      tokens: 3,
      url: 'http://10.0.0.1:8774/compute/v2.1/servers',
      at: '2026-01-01T00:00:00.000Z',
    };
    expect(redact(told)).toEqual(told);
  });

  it('empties fields by their names, at any depth, wherever they lie', () => {
    const names = fc.constantFrom(
      'password',
      'adminPass',
      'user_data',
      'x-auth-token',
      'private_key_pem',
      'webhookSecret',
      'api_key',
      'password_hash',
    );
    const secret = fc.stringMatching(/^S3CR[a-z0-9]{8}$/);
    fc.assert(
      fc.property(names, secret, fc.array(fc.constantFrom('a', 'guest', 'list'), { maxLength: 5 }), (name, value, path) => {
        const tree = path.reduce<unknown>((inner, key) => (key === 'list' ? [inner, 1] : { [key]: inner, other: 'x' }), { [name]: value });
        expect(JSON.stringify(redact(tree))).not.toContain(value);
        expect(JSON.stringify(redact(tree))).toContain(redacted);
        expect(redactLine(JSON.stringify(tree))).not.toContain(value);
      }),
    );
  });
});
