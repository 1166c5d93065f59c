import { expect, it } from 'vitest';
import { nextPage } from './next-page.ts';

const after = (asked: string | null): string => nextPage(asked, '/project/instances', 'https://cloud.example');

it('goes back to the page that was asked for', () => {
  expect(after('/admin/migrations?status=failed#x')).toBe('/admin/migrations?status=failed#x');
});

it.each([null, '', 'admin', '//else.where/', '/\\else.where/', 'https://else.where/', 'javascript:alert(1)', '//['])(
  'goes home for %s',
  (asked) => {
    expect(after(asked)).toBe('/project/instances');
  },
);
