import { describe, expect, it } from 'vitest';
import { completeEntries } from './complete-lockfile.ts';

describe('completeEntries', () => {
  it('adds the optional packages of other platforms that npm left out', () => {
    const packages = {
      'node_modules/tool': {
        version: '1.0.0',
        dev: true,
        optionalDependencies: { '@tool/darwin-arm64': '1.0.0', '@tool/cli-linux-x64-musl': '1.0.0' },
      },
    };
    expect(completeEntries(packages)).toEqual({
      'node_modules/@tool/cli-linux-x64-musl': { version: '1.0.0', os: ['linux'], cpu: ['x64'], libc: ['musl'], dev: true, optional: true },
      'node_modules/@tool/darwin-arm64': { version: '1.0.0', os: ['darwin'], cpu: ['arm64'], dev: true, optional: true },
      ...packages,
    });
  });

  it('changes nothing where the package is there, nested ones included', () => {
    const packages = {
      'node_modules/a': { version: '1.0.0', optionalDependencies: { 'b-win32-x64': '1.0.0' } },
      'node_modules/a/node_modules/b-win32-x64': { version: '1.0.0', optional: true },
      'node_modules/c/node_modules/d': { version: '1.0.0', optionalDependencies: { 'e-win32-x64': '1.0.0' } },
      'node_modules/e-win32-x64': { version: '1.0.0', optional: true },
    };
    expect(completeEntries(packages)).toEqual(packages);
  });

  it.each([
    ['@tool/linux-x64', /this platform needs it/],
    ['@tool/linux-x64-gnu', /this platform needs it/],
    ['fsevents', /tells no platform/],
  ])('refuses to invent %s', (name, reason) => {
    expect(() => completeEntries({ 'node_modules/a': { optionalDependencies: { [name]: '1.0.0' } } })).toThrow(reason);
  });

  it('refuses a range', () => {
    expect(() => completeEntries({ 'node_modules/a': { optionalDependencies: { 'b-win32-x64': '^1.0.0' } } })).toThrow(/one exact version/);
  });
});
