import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { App, Button } from 'antd';
import { serverGroupViews } from '../api/resources.ts';
import { serversWithStatus } from '../api/servers.ts';
import { actSafely, stuckThings } from '../api/stuck.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { When } from '../components/when.tsx';
import { type OddThing, oddThings } from '../model/odd-things.ts';
import { words } from '../words.ts';

const kindWords: Readonly<Record<OddThing['kind'], string>> = {
  'late-migration': 'Migration older than usual',
  'failing-workflow': 'Work that fails again and again',
  'guest-differs': 'Guest and record differ',
  'silent-host': 'Host not heard from',
  'forgotten-resize': 'Forgotten Verify Resize',
  'leaked-claim': 'Leaked claim',
  error: 'Instance in Error',
  'group-rule': 'Group rule broken',
};

/** Every host is asked at each look: not more often than a person reads. */
const lookEveryMs = 15_000;

/** What is stuck or odd, each with what was seen of it and what can safely be done. */
export function Troubleshooting() {
  const api = useApi();
  const refetchInterval = useFallbackPolling(false);
  const stuck = useQuery({ ...stuckThings(api), refetchInterval: lookEveryMs });
  const failed = useQuery({ ...serversWithStatus(api, 'admin', 'ERROR'), refetchInterval });
  const groups = useQuery({ ...serverGroupViews(api), refetchInterval });
  const error = [stuck, failed, groups].find((query) => query.isError)?.error;
  const odd = oddThings({ stuck: stuck.data?.problems ?? [], failed: failed.data ?? [], groups: groups.data ?? [] });
  return (
    <>
      <PageHead title="Troubleshooting">
        {stuck.data !== undefined && (
          <span className="muted">
            {odd.length === 0 ? 'Nothing odd' : `${odd.length} to look at`}, looked <When time={stuck.data.checkedAt} />
          </span>
        )}
        <Button loading={stuck.isFetching} onClick={() => void stuck.refetch()}>
          Look again
        </Button>
      </PageHead>
      {error !== undefined && <Problem error={error} what="Part of the cloud could not be looked at." />}
      <DataTable<OddThing>
        label="Troubleshooting"
        tall
        columns={columns}
        rows={odd}
        rowKey={({ key }) => key}
        loading={stuck.isPending || failed.isPending || groups.isPending}
        empty="Nothing is stuck: no old migrations, no guests that differ from their record, no silent hosts, no forgotten confirmations, no leaked claims, no instances in Error, no broken group rules."
      />
    </>
  );
}

function SafeAction({ thing }: { readonly thing: OddThing }) {
  const api = useApi();
  const { modal } = App.useApp();
  const { busy, run } = useChange('stuck');
  const { sentence, request } = thing.action;
  return (
    <>
      {sentence}{' '}
      {request !== null && (
        <Button
          size="small"
          disabled={busy}
          aria-label={`Do it… ${thing.subject}`}
          onClick={() =>
            modal.confirm({
              title: `${thing.subject}: do this?`,
              content: sentence,
              okText: words.dialog.confirm,
              cancelText: words.dialog.cancel,
              onOk: async () => void (await run(`Accepted for ${thing.subject}`, () => actSafely(api, request))),
            })
          }
        >
          Do it…
        </Button>
      )}
    </>
  );
}

const columns: readonly Column<OddThing>[] = [
  {
    key: 'kind',
    title: 'What',
    sortBy: ({ kind }) => kindWords[kind],
    render: ({ kind }) => <span className="status warn">{kindWords[kind]}</span>,
  },
  {
    key: 'subject',
    title: 'Where',
    sortBy: ({ subject }) => subject,
    render: ({ subject, path, search }) => (
      <Link to={path} search={search}>
        {subject}
      </Link>
    ),
  },
  {
    key: 'evidence',
    title: 'Evidence',
    render: ({ sentence, evidence, since }) => (
      <>
        {sentence}{' '}
        {since !== null && (
          <span className="muted">
            Since <When time={since} />.
          </span>
        )}
        {evidence.map((line) => (
          <div key={line} className="muted">
            {line}
          </div>
        ))}
      </>
    ),
  },
  { key: 'action', title: 'Safe action', render: (thing) => <SafeAction thing={thing} /> },
];
