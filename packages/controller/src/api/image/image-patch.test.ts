import type { ImagePatch } from '@godwit/contract/schemas/image/images';
import { GodwitError } from '@godwit/domain/errors';
import { describe, expect, it } from 'vitest';
import { applyImagePatch } from './image-patch.ts';

const image = { attributes: { name: 'a', visibility: 'shared', tags: ['x'], min_disk: 0 }, properties: { os: 'linux' } };
const apply = (...patch: unknown[]) => {
  try {
    return applyImagePatch(image, patch as ImagePatch);
  } catch (error) {
    return error instanceof GodwitError ? error.code : error;
  }
};

describe('applyImagePatch', () => {
  it('sets, replaces and removes in order, in both generations of the format', () => {
    expect(
      apply(
        { op: 'replace', path: '/name', value: 'b' },
        { add: '/kernel_id', value: 'k' },
        { op: 'remove', path: '/os' },
        { op: 'add', path: '/a~1b', value: 'c' },
      ),
    ).toEqual({
      attributes: { ...image.attributes, name: 'b' },
      properties: { kernel_id: 'k', 'a/b': 'c' },
    });
    expect(apply({ op: 'remove', path: '/tags' })).toMatchObject({ attributes: { tags: [] } });
    expect(image.properties).toEqual({ os: 'linux' });
  });
  it.each([
    ['Forbidden', { op: 'replace', path: '/id', value: 'x' }],
    ['Forbidden', { op: 'replace', path: '/status', value: 'active' }],
    ['Forbidden', { op: 'remove', path: '/visibility' }],
    ['Conflict', { op: 'replace', path: '/none', value: 'x' }],
    ['Conflict', { op: 'remove', path: '/none' }],
    ['BadRequest', { op: 'add', path: 'name', value: 'x' }],
    ['BadRequest', { op: 'add', path: '/a/b', value: 'x' }],
    ['BadRequest', { op: 'add', path: '/a~2', value: 'x' }],
    ['BadRequest', { op: 'add', path: '/__proto__', value: 'x' }],
    ['BadRequest', { op: 'add', path: '/x' }],
    ['SchemaViolation', { op: 'add', path: '/x', value: 5 }],
    ['SchemaViolation', { op: 'replace', path: '/visibility', value: 'all' }],
    ['SchemaViolation', { op: 'replace', path: '/min_disk', value: -1 }],
    ['SchemaViolation', { op: 'replace', path: '/tags', value: [''] }],
  ])('%s for %j', (code, operation) => expect(apply(operation)).toBe(code));
});
