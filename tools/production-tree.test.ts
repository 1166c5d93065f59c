import { describe, expect, it } from 'vitest';
import { productionTree } from './production-tree.ts';

const locked = {
  'packages/a': { dependencies: { '@us/b': '*', x: '1' } },
  'packages/b': { dependencies: { y: '1' } },
  'node_modules/@us/b': { link: true, resolved: 'packages/b' },
  'node_modules/x': { dependencies: { y: '2', z: '1' }, optionalDependencies: { 'x-arm': '1' } },
  'node_modules/x/node_modules/y': {},
  'node_modules/y': { dependencies: { x: '1' } },
  'node_modules/z': {},
  'node_modules/dev-only': {},
};

describe('productionTree', () => {
  it('follows what is needed, the nearest one first, round circles, and leaves out the rest', () => {
    expect(productionTree(locked, ['packages/a'])).toEqual(['node_modules/x', 'node_modules/x/node_modules/y', 'node_modules/z']);
    expect(productionTree(locked, ['packages/a', 'packages/b'])).toContain('node_modules/y');
  });

  it('refuses a lock that lacks something', () => {
    expect(() => productionTree({ 'packages/a': { dependencies: { gone: '1' } } }, ['packages/a'])).toThrow('packages/a needs gone');
  });
});
