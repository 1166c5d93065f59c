import { describe, expect, it } from 'vitest';
import { routeTable } from './route-table.ts';

const table = routeTable([
  { method: 'GET', path: '/', name: 'root' },
  { method: 'GET', path: '/servers', name: 'list' },
  { method: 'GET', path: '/servers/detail', name: 'detail' },
  { method: 'GET', path: '/servers/:server', name: 'show' },
  { method: 'DELETE', path: '/servers/:server', name: 'delete' },
  { method: 'GET', path: '/servers/:server/migrations/:migration', name: 'migration' },
] as const);
const name = (method: string, path: string) => {
  const match = table.find(method, path);
  return match.kind === 'found' ? [match.route.name, match.params] : match;
};

describe('routeTable', () => {
  it('finds literals before parameters', () => {
    expect(name('GET', '/servers/detail')).toEqual(['detail', {}]);
    expect(name('GET', '/servers/x')).toEqual(['show', { server: 'x' }]);
    expect(name('GET', '/servers/a%20b/migrations/7')).toEqual(['migration', { server: 'a b', migration: '7' }]);
  });
  it('does not mind slashes at the end', () => {
    expect(name('GET', '/servers/')).toEqual(['list', {}]);
    expect(name('GET', '')).toEqual(['root', {}]);
  });
  it('falls back to the parameter when the literal lacks the method', () =>
    expect(name('DELETE', '/servers/detail')).toEqual(['delete', { server: 'detail' }]));
  it('tells an unknown method from an unknown path', () => {
    expect(name('PUT', '/servers')).toEqual({ kind: 'no-method', allowed: ['GET'] });
    expect(name('GET', '/nothing')).toEqual({ kind: 'no-path' });
  });
  it('takes no broken or NUL-holding segment', () => {
    expect(name('GET', '/servers/%zz')).toEqual({ kind: 'no-path' });
    expect(name('GET', '/servers/%00')).toEqual({ kind: 'no-path' });
  });
  it('refuses two routes of one name', () => {
    expect(() =>
      routeTable([
        { method: 'GET', path: '/a' },
        { method: 'GET', path: '/a/' },
      ]),
    ).toThrow('two routes');
  });
});
