import { expect, test } from 'vitest';
import { rehearse } from './rehearse.ts';

test('a rehearsed move is released and taken, each time', () => {
  expect(() => rehearse()).not.toThrow();
});
