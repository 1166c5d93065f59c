import { PageHead } from '../components/page-head.tsx';
import { guideBlocks, type Span } from '../model/guide-blocks.ts';

const blocks = guideBlocks(GUIDE_TEXT);

/** docs/live-migration.md, as it was when the dashboard was built. */
export function Guide() {
  const title = blocks.find((block) => block.kind === 'heading' && block.level === 1);
  return (
    <>
      <PageHead title={title?.kind === 'heading' ? title.text : 'Guide'} />
      <article className="panel guide">
        {blocks.map((block, index) => {
          // The text is fixed: the place of a block is its identity.
          const key = `${index}`;
          switch (block.kind) {
            case 'heading':
              return block.level === 1 ? null : <h2 key={key}>{block.text}</h2>;
            case 'paragraph':
              return (
                <p key={key}>
                  <Spans spans={block.spans} />
                </p>
              );
            case 'list':
              return (
                <ul key={key}>
                  {block.items.map((item) => (
                    <li key={wordsOf(item)}>
                      <Spans spans={item} />
                    </li>
                  ))}
                </ul>
              );
            case 'table':
              return (
                // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reachable by keyboard
                <section key={key} className="data-table tall" tabIndex={0} aria-label={`Table ${index}`}>
                  <table>
                    <thead>
                      <tr>
                        {block.head.map((cell) =>
                          cell.length === 0 ? (
                            <td key="" />
                          ) : (
                            <th key={wordsOf(cell)} scope="col">
                              <Spans spans={cell} />
                            </th>
                          ),
                        )}
                      </tr>
                    </thead>
                    <tbody>
                      {block.rows.map((row) => (
                        <tr key={wordsOf(row[0] ?? [])}>
                          {row.map((cell, column) => (
                            <td key={wordsOf(block.head[column] ?? [])}>
                              <Spans spans={cell} />
                            </td>
                          ))}
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </section>
              );
            case 'code':
              return (
                // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reachable by keyboard
                <pre key={key} className="console mono" style={{ minHeight: 0 }} tabIndex={0}>
                  {block.text}
                </pre>
              );
          }
        })}
      </article>
    </>
  );
}

const wordsOf = (spans: readonly Span[]): string => spans.map(({ text }) => text).join('');

function Spans({ spans }: { readonly spans: readonly Span[] }) {
  return spans.map(({ kind, text }) => {
    const Tag = kind === 'text' ? 'span' : kind;
    return <Tag key={`${kind} ${text}`}>{text}</Tag>;
  });
}
