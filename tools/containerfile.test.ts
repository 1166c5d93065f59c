import { readFile } from 'node:fs/promises';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';

describe('the OCI image', () => {
  it('has a definition without a complaint', async () => {
    const text = await readFile(new URL('../packaging/oci/Containerfile', import.meta.url), 'utf8');
    expect(validate(text).map((problem) => `line ${problem.range.start.line + 1}: ${problem.message}`)).toEqual([]);
    expect(validate(text.replace('FROM', 'FORM'))).not.toEqual([]);
  });
});
