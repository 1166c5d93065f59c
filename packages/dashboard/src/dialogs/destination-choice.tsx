import type { UseQueryResult } from '@tanstack/react-query';
import { Alert } from 'antd';
import type { Destinations } from '../api/destinations.ts';
import { HostTable } from '../components/host-table.tsx';
import { Problem } from '../components/problem.tsx';
import { words } from '../words.ts';

type Props = {
  readonly table: UseQueryResult<Destinations>;
  readonly host: string | null;
  readonly onChange: (host: string | null) => void;
};

/** Destination Host: the table of hosts, and in words why none of them or the server itself stands in the way. */
export function DestinationChoice({ table, host, onChange }: Props) {
  const { data } = table;
  return (
    <>
      <h2>{words.fields.destinationHost}</h2>
      <p className="muted" style={{ margin: '0 0 8px' }}>
        With {words.automatic} the scheduler picks by available resources when the move starts. Choose a host when the instance must go to a
        particular one.
      </p>
      {data !== undefined && data.refusal !== null && (
        <Alert type="warning" showIcon title={data.refusal.message} style={{ marginBottom: 8 }} />
      )}
      {data !== undefined && data.chosen === null && (
        <Alert type="warning" showIcon title="No host can take this instance" description={data.summary} style={{ marginBottom: 8 }} />
      )}
      {table.isError && (
        <Problem error={table.error} what="The hosts could not be checked; the scheduler will check them when the move starts." />
      )}
      <HostTable table={data ?? null} value={host} onChange={onChange} error={table.isError} />
    </>
  );
}

/** Whether a move may be asked for: the hosts have been looked at, or could not be, and nothing known stands in its way. */
export const mayConfirm = ({ data, isPending }: UseQueryResult<Destinations>): boolean =>
  !isPending && (data === undefined || (data.refusal === null && data.chosen !== null));
