import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { operationList } from '../api/operations.ts';
import { useFallbackPolling } from './live.tsx';
import { operationProgress, operationTitle, StateWord } from './operation-state.tsx';
import { useApi } from './signed-in.tsx';
import { When } from './when.tsx';

/** The newest fleet operations, those of one host where it is named; nothing where there are none. */
export function OperationList({ host }: { readonly host?: string | undefined }) {
  const api = useApi();
  const operations = useQuery({
    ...operationList(api, { limit: '8', ...(host === undefined ? {} : { host }) }),
    refetchInterval: useFallbackPolling(true),
  });
  if (operations.data === undefined || operations.data.length === 0) return null;
  return (
    <details className="panel" open={operations.data.some((operation) => operation.finishedAt === null)} aria-label="Bulk runs and drains">
      <summary>Bulk runs and drains ({operations.data.length === 8 ? 'the newest 8' : operations.data.length})</summary>
      <ul style={{ margin: '8px 0 0', paddingLeft: 16 }}>
        {operations.data.map((operation) => {
          const { ended, total } = operationProgress(operation);
          return (
            <li key={operation.id}>
              <Link to={`/admin/operations/${operation.id}`}>{operationTitle(operation)}</Link> <StateWord state={operation.state} />{' '}
              <span className="muted">
                {ended} of {total}, <When time={operation.createdAt} />
              </span>
            </li>
          );
        })}
      </ul>
    </details>
  );
}
