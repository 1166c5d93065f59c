import { expect, it } from 'vitest';
import { matching } from './palette-match.ts';

it('finds by every word, beginnings first', () => {
  const names = ['my-web-1', 'web-1', 'web-2', 'database'];
  const find = (typed: string) => matching(names, typed, (name) => name);
  expect(find('')).toEqual(names);
  expect(find('WEB')).toEqual(['web-1', 'web-2', 'my-web-1']);
  expect(find('web 1')).toEqual(['web-1', 'my-web-1']);
  expect(find('nothing')).toEqual([]);
});
