import type { ResourceLoad } from '@godwit/domain/scheduling/load';

type Props = {
  readonly label: string;
  readonly before: ResourceLoad;
  /** With the server on it. */
  readonly after?: ResourceLoad;
  readonly format: (amount: number) => string;
  /** More may be promised than there is: what there is, times how often. Absent, or 1 time: `capacity` is what there is. */
  readonly promised?: { readonly physical: number; readonly ratio: number };
};

const percent = (amount: number, capacity: number): number =>
  capacity <= 0 ? (amount > 0 ? 100 : 0) : Math.min(100, (amount / capacity) * 100);

/** Without the unit where the capacity that follows has the same. */
function shortly(amount: string, capacity: string): string {
  const [value = '', unit] = amount.split(' ');
  return unit !== undefined && unit === capacity.split(' ')[1] ? value : amount;
}

/** Used of capacity as a bar and in words; with `after`, what the server would add. */
export function LoadBar({ label, before, after, format, promised }: Props) {
  const added = after !== undefined && after.used > before.used ? after : null;
  const over = (added ?? before).used > before.capacity;
  const overCommitted = promised !== undefined && promised.ratio !== 1 ? promised : null;
  return (
    <div>
      <div style={{ fontSize: 12, lineHeight: '14px', whiteSpace: 'nowrap' }}>
        <span className="visually-hidden">{label}: </span>
        {shortly(format(before.used), format(before.capacity))}
        {added !== null && (
          <>
            <span aria-hidden="true"> → </span>
            <span className="visually-hidden">then </span>
            {shortly(format(added.used), format(before.capacity))}
          </>
        )}{' '}
        of {format(before.capacity)}
        {overCommitted !== null && (
          <span
            className="muted"
            title={`${format(overCommitted.physical)} ${label} there; the allocation ratio promises each ${overCommitted.ratio} times`}
          >
            {' '}
            ({format(overCommitted.physical)} × {overCommitted.ratio})
          </span>
        )}
      </div>
      <div className="bar" style={{ display: 'block', marginTop: 3 }} aria-hidden="true">
        {added !== null && <span className={over ? 'over' : 'added'} style={{ width: `${percent(added.used, before.capacity)}%` }} />}
        <span className={over && added === null ? 'over' : ''} style={{ width: `${percent(before.used, before.capacity)}%` }} />
      </div>
    </div>
  );
}
