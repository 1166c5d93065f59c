import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { guideBlocks } from './guide-blocks.ts';

it('reads headings, paragraphs, lists and code', () => {
  expect(guideBlocks('# A\n\nOne *two*\nthree.\n\n- **x** y\n- z\n  more\n\n```\ncode `a`\n```\n\nEnd `b`.\n')).toEqual([
    { kind: 'heading', level: 1, text: 'A' },
    {
      kind: 'paragraph',
      spans: [
        { kind: 'text', text: 'One ' },
        { kind: 'em', text: 'two' },
        { kind: 'text', text: ' three.' },
      ],
    },
    {
      kind: 'list',
      items: [
        [
          { kind: 'strong', text: 'x' },
          { kind: 'text', text: ' y' },
        ],
        [{ kind: 'text', text: 'z more' }],
      ],
    },
    { kind: 'code', text: 'code `a`' },
    {
      kind: 'paragraph',
      spans: [
        { kind: 'text', text: 'End ' },
        { kind: 'code', text: 'b' },
        { kind: 'text', text: '.' },
      ],
    },
  ]);
});

it('reads tables, and of links to other files their words', () => {
  const text = (words: string) => [{ kind: 'text', text: words }];
  expect(guideBlocks('| | a |\n|---|---|\n| b | see [c](d.md) |\n')).toEqual([
    { kind: 'table', head: [[], text('a')], rows: [[text('b'), text('see c')]] },
  ]);
});

it('leaves no mark of Markdown in the guide that the dialog links to', () => {
  const guide = readFileSync(new URL('../../../../docs/live-migration.md', import.meta.url), 'utf8');
  const shown = guideBlocks(guide).flatMap((block): readonly string[] => {
    if (block.kind === 'heading') return [block.text];
    if (block.kind === 'code') return [];
    const spans =
      block.kind === 'paragraph' ? block.spans : block.kind === 'list' ? block.items.flat() : [block.head, ...block.rows].flat(2);
    return spans.map(({ text }) => text);
  });
  expect(shown.length).toBeGreaterThan(20);
  for (const text of shown) expect(text).not.toMatch(/\*\*|`|^#|\]\(|\|/);
});
