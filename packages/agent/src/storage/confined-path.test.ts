import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { confinedPath } from './confined-path.ts';

describe('a confined path', () => {
  test('lies below its root whatever the names are, or is refused', () => {
    const nasty = fc.oneof(
      fc.string(),
      fc.constantFrom('..', '.', '/etc/passwd', 'a/../../b', '\0', 'a\0b', '-rf', '.hidden', 'nbd:host', 'json:{}'),
    );
    fc.assert(
      fc.property(fc.array(nasty, { minLength: 1, maxLength: 3 }), (names) => {
        let path: string;
        try {
          path = confinedPath('/pool', ...names);
        } catch (error) {
          expect(error).toMatchObject({ code: 'BadRequest' });
          return;
        }
        expect(path.startsWith('/pool/')).toBe(true);
        expect(path.split('/').some((part) => part === '..' || part.startsWith('-') || part.includes(':'))).toBe(false);
      }),
    );
  });

  test('accepts ids and file names', () => {
    expect(confinedPath('/pool/images', '0f8b-1.qcow2')).toBe('/pool/images/0f8b-1.qcow2');
  });
});
