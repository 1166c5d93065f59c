import { readFile } from 'node:fs/promises';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';

describe('the OCI image', () => {
  it('has a definition without a complaint', async () => {
    const text = await readFile(new URL('../packaging/oci/Containerfile', import.meta.url), 'utf8');
    expect(validate(text).map(({ range, message }) => [range.start.line + 1, message])).toEqual([]);
    expect(validate(text.replace('FROM', 'FORM'))).not.toEqual([]);
  });
});
