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
                    <li key={item.map(({ text }) => text).join('')}>
                      <Spans spans={item} />
                    </li>
                  ))}
                </ul>
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

function Spans({ spans }: { readonly spans: readonly Span[] }) {
  return spans.map(({ kind, text }) => {
    const Tag = kind === 'text' ? 'span' : kind;
    return <Tag key={`${kind} ${text}`}>{text}</Tag>;
  });
}
