import { type KeyboardEvent, type ReactNode, useEffect, useMemo, useRef, useState } from 'react';

export type Column<Row> = {
  readonly key: string;
  readonly title: string;
  readonly render: (row: Row) => ReactNode;
  /** Makes the column sortable. */
  readonly sortBy?: (row: Row) => string | number;
  readonly className?: string;
  readonly width?: number;
};

type Props<Row> = {
  /** What the table lists, for screen readers. */
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  readonly rowClass?: (row: Row) => string;
  /** Shown instead of rows: what to do about it. */
  readonly empty: ReactNode;
  readonly loading?: boolean;
  /** The end of the rows is near. */
  readonly onNearEnd?: () => void;
  /** Rows of any height; all are drawn. Otherwise every row is as high as the first, and only those in sight are drawn. */
  readonly tall?: boolean;
  readonly maxHeight?: string;
};

/** Before a row has been seen. */
const usualRowHeight = 41;
/** Fewer rows than this are simply drawn. */
const virtualFrom = 80;
const overscan = 12;

/** A plain table, sortable by its headers, that draws only the rows in sight when there are many. Scrolls in its own region, by keyboard too. */
export function DataTable<Row>(props: Props<Row>) {
  const {
    label,
    columns,
    rows,
    rowKey,
    rowClass,
    empty,
    loading = false,
    onNearEnd,
    tall = false,
    maxHeight = 'calc(100vh - 190px)',
  } = props;
  const [sort, setSort] = useState<{ readonly key: string; readonly down: boolean } | null>(null);
  const region = useRef<HTMLElement>(null);
  const [sight, setSight] = useState({ top: 0, height: 800, row: usualRowHeight });
  const sorted = useMemo(() => {
    const by = columns.find((column) => column.key === sort?.key)?.sortBy;
    if (by === undefined || sort === null) return rows;
    const sign = sort.down ? -1 : 1;
    return rows.toSorted((a, b) => sign * compare(by(a), by(b)));
  }, [rows, columns, sort]);
  const { row: rowHeight } = sight;
  const virtual = !tall && sorted.length > virtualFrom;
  const first = virtual ? Math.max(0, Math.floor(sight.top / rowHeight) - overscan) : 0;
  const end = virtual ? Math.min(sorted.length, Math.ceil((sight.top + sight.height) / rowHeight) + overscan) : sorted.length;
  useEffect(() => {
    if (onNearEnd !== undefined && end >= sorted.length - overscan && !loading) onNearEnd();
  }, [end, sorted.length, loading, onNearEnd]);
  useEffect(() => {
    const node = region.current;
    if (node === null) return;
    const look = (): void => {
      const row = node.querySelector('tbody tr[data-row]')?.getBoundingClientRect().height ?? usualRowHeight;
      setSight({ top: node.scrollTop, height: node.clientHeight, row: row > 0 ? row : usualRowHeight });
    };
    const observer = new ResizeObserver(look);
    observer.observe(node);
    node.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      node.removeEventListener('scroll', look);
    };
  }, []);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reachable by keyboard
    <section ref={region} className={`data-table${tall ? ' tall' : ''}`} style={{ maxHeight }} aria-label={label} tabIndex={0}>
      <table aria-rowcount={sorted.length + 1} aria-busy={loading}>
        <thead>
          <tr>
            {columns.map((column) => (
              <Header key={column.key} column={column} sort={sort} onSort={setSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {virtual && first > 0 && <Spacer span={columns.length} height={first * rowHeight} />}
          {sorted.slice(first, end).map((row) => (
            <tr key={rowKey(row)} className={rowClass?.(row)} data-row={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.key} className={column.className}>
                  {column.render(row)}
                </td>
              ))}
            </tr>
          ))}
          {virtual && end < sorted.length && <Spacer span={columns.length} height={(sorted.length - end) * rowHeight} />}
          {sorted.length === 0 && (
            <tr>
              <td colSpan={columns.length} className="empty">
                {loading ? 'Loading…' : empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}

type Sort = { readonly key: string; readonly down: boolean } | null;

function Header<Row>({
  column,
  sort,
  onSort,
}: {
  readonly column: Column<Row>;
  readonly sort: Sort;
  readonly onSort: (sort: Sort) => void;
}) {
  const style = column.width === undefined ? {} : { width: column.width };
  if (column.sortBy === undefined) {
    return (
      <th scope="col" className={column.className} style={style}>
        {column.title}
      </th>
    );
  }
  const active = sort?.key === column.key;
  const direction = active ? (sort.down ? 'descending' : 'ascending') : 'none';
  const next: Sort = !active ? { key: column.key, down: false } : sort.down ? null : { key: column.key, down: true };
  return (
    <th scope="col" className={column.className} style={style} aria-sort={direction}>
      <button type="button" onClick={() => onSort(next)}>
        {column.title}
        <span aria-hidden="true">{active ? (sort.down ? ' ▾' : ' ▴') : ''}</span>
      </button>
    </th>
  );
}

const Spacer = ({ span, height }: { readonly span: number; readonly height: number }) => (
  <tr className="spacer">
    <td colSpan={span} style={{ height }} />
  </tr>
);

const inWords = new Intl.Collator('en', { numeric: true });
const compare = (a: string | number, b: string | number): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : inWords.compare(String(a), String(b));

/** Arrow keys move between the radio buttons of a table's rows, as they do in a group of them. */
export function moveByArrows(event: KeyboardEvent<HTMLElement>): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0) return;
  const radios = [...event.currentTarget.querySelectorAll<HTMLInputElement>('input[type=radio]:not(:disabled)')];
  const at = radios.indexOf(document.activeElement as HTMLInputElement);
  const next = radios[at + step];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  next.focus();
  next.click();
}
