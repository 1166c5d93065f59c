import { describe, expect, it } from 'vitest';
import { readSettings } from './read-settings.ts';

describe('readSettings', () => {
  it('reads JSON, and YAML with comments', () => {
    expect(readSettings('{"a": {"b": [1]}}', 'f').value).toEqual({ a: { b: [1] } });
    expect(readSettings('# why\na:\n  b: [1] # here\n', 'f').value).toEqual({ a: { b: [1] } });
  });

  it('knows the line of a key, and of the nearest one around a key that is missing', () => {
    const { lineOf } = readSettings('# first\nlisten:\n  address: ::1\n  port: 70000\nname: x\n', 'f');
    expect(lineOf('listen.port')).toBe(4);
    expect(lineOf('listen.nothing')).toBe(2);
    expect(lineOf('name')).toBe(5);
    expect(lineOf('other')).toBeNull();
  });

  it.each([
    ['a: [1', /^f:1: /],
    ['a: 1\nb: 2\na: 3\n', /^f:3: .*unique/],
    ['a: 1\n  b: 2\n', /^f:\d: /],
  ])('names the line of what is no YAML: %j', (text, message) => {
    expect(() => readSettings(text, 'f')).toThrow(message);
  });
});
