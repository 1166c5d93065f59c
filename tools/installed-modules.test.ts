import { expect, it } from 'vitest';
import { differingModules } from './installed-modules.ts';

const locked = {
  packages: {
    '': { version: '0.1.0' },
    'packages/domain': { version: '0.1.0' },
    'node_modules/@godwit/domain': {},
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/tool-linux-x64': { version: '1.0.0', integrity: 'sha512-t', optional: true, os: ['linux'], cpu: ['x64'] },
    'node_modules/tool-linux-x64-musl': { version: '1.0.0', optional: true, os: ['linux'], cpu: ['x64'], libc: ['musl'] },
    'node_modules/tool-darwin-arm64': { version: '1.0.0', optional: true, os: ['darwin'], cpu: ['arm64'] },
    'node_modules/not-windows': { version: '1.0.0', optional: true, os: ['!win32'] },
    'node_modules/only-for-wasm': { version: '1.0.0', optional: true },
  },
};
const complete = {
  'node_modules/@godwit/domain': {},
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/tool-linux-x64': { version: '1.0.0', integrity: 'sha512-t' },
  'node_modules/not-windows': { version: '1.0.0' },
};

it('accepts what npm installs on this platform', () => {
  expect(differingModules(locked, { packages: complete })).toEqual([]);
});

it.each([
  ['a package', 'node_modules/a'],
  ['a workspace link', 'node_modules/@godwit/domain'],
  ["this platform's optional package", 'node_modules/tool-linux-x64'],
])('misses %s', (_name, path) => {
  const { [path as keyof typeof complete]: _removed, ...rest } = complete;
  expect(differingModules(locked, { packages: rest })).toEqual([path]);
});

it('notices another version and other contents of the same version', () => {
  const version = { ...complete, 'node_modules/a': { version: '1.0.1', integrity: 'sha512-a' } };
  const contents = { ...complete, 'node_modules/a': { version: '1.0.0', integrity: 'sha512-b' } };
  expect(differingModules(locked, { packages: version })).toEqual(['node_modules/a']);
  expect(differingModules(locked, { packages: contents })).toEqual(['node_modules/a']);
});
