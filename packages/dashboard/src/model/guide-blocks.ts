/** A piece of running text: as it is, strong, emphasised, or code. */
export type Span = { readonly kind: 'text' | 'strong' | 'em' | 'code'; readonly text: string };
export type GuideBlock =
  | { readonly kind: 'heading'; readonly level: 1 | 2; readonly text: string }
  | { readonly kind: 'paragraph'; readonly spans: readonly Span[] }
  | { readonly kind: 'list'; readonly items: readonly (readonly Span[])[] }
  | { readonly kind: 'table'; readonly head: readonly Cell[]; readonly rows: readonly (readonly Cell[])[] }
  | { readonly kind: 'code'; readonly text: string };
type Cell = readonly Span[];

/** The little Markdown that our own guide is written in: headings of two levels, paragraphs, flat lists, tables, fenced code, **strong**, *em*, `code`; of links to other files their words. */
export function guideBlocks(markdown: string): readonly GuideBlock[] {
  const fences = markdown.split(/^```.*\n?/m);
  return fences.flatMap((part, index): readonly GuideBlock[] =>
    index % 2 === 1
      ? [{ kind: 'code', text: part.trimEnd() }]
      : part
          .split(/\n{2,}/)
          .map((block) => block.trim())
          .filter((block) => block !== '')
          .map(blockOf),
  );
}

function blockOf(block: string): GuideBlock {
  const heading = /^(#{1,2}) (.*)$/.exec(block);
  if (heading !== null) return { kind: 'heading', level: heading[1] === '#' ? 1 : 2, text: heading[2] ?? '' };
  if (block.startsWith('- '))
    return {
      kind: 'list',
      items: block
        .slice(2)
        .split(/\n- /)
        .map((item) => spansOf(joined(item))),
    };
  if (block.startsWith('|')) {
    const [head = [], , ...rows] = block.split('\n').map(cellsOf);
    return { kind: 'table', head, rows };
  }
  return { kind: 'paragraph', spans: spansOf(joined(block)) };
}

const cellsOf = (line: string): readonly Cell[] =>
  line
    .replaceAll(/^\||\|$/g, '')
    .split('|')
    .map((cell) => spansOf(cell.trim()));

const joined = (text: string): string => text.replaceAll(/\s*\n\s*/g, ' ');

function spansOf(text: string): readonly Span[] {
  return text
    .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .split(/(\*\*[^*]+\*\*|\*[^*]+\*|`[^`]+`)/)
    .filter((part) => part !== '')
    .map((part): Span => {
      if (part.startsWith('**')) return { kind: 'strong', text: part.slice(2, -2) };
      if (part.startsWith('*')) return { kind: 'em', text: part.slice(1, -1) };
      if (part.startsWith('`')) return { kind: 'code', text: part.slice(1, -1) };
      return { kind: 'text', text: part };
    });
}
