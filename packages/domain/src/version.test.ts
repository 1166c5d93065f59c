import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { godwitVersion } from './version.ts';

it('is the version of the packages', () => {
  for (const file of ['../../../package.json', '../../godwit/package.json'])
    expect((JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as { readonly version: string }).version).toBe(godwitVersion);
});
