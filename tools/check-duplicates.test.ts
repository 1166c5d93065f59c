import { expect, it } from 'vitest';
import { duplicateViolations } from './check-duplicates.ts';

const block = (length: number, name = 'x') => Array.from({ length }, (_, index) => `const ${name}${index} = compute(${index});`).join('\n');

it('finds a block copied into another file, whatever its indentation and comments', () => {
  const copy = block(12).replaceAll('const', '\n  // a remark\n    const');
  expect(
    duplicateViolations([
      { path: 'a.ts', text: `${block(12)}\n` },
      { path: 'b.ts', text: `start();\n${copy}` },
    ]),
  ).toEqual(['b.ts:4 repeats 12 lines or more of a.ts:1']);
});

it('finds a block repeated in one file', () => {
  expect(duplicateViolations([{ path: 'a.ts', text: `${block(14)}\nmiddle();\n${block(14)}` }])).toHaveLength(1);
});

it('lets shorter blocks and different ones be', () => {
  expect(
    duplicateViolations([
      { path: 'a.ts', text: block(11) },
      { path: 'b.ts', text: block(11) },
    ]),
  ).toEqual([]);
  expect(
    duplicateViolations([
      { path: 'a.ts', text: block(30) },
      { path: 'b.ts', text: block(30, 'y') },
    ]),
  ).toEqual([]);
});
