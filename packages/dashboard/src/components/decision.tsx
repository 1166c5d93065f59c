import type { StoredVerdicts } from '@godwit/domain/scheduling/stored-verdicts';
import { formatMib } from '../model/formats.ts';
import { rejectionsByHost } from '../model/rejections-by-host.ts';

/** Why this host: the ranking of those that could, and the reasons of those that could not, as they were when the move was decided. */
export function Decision(props: {
  readonly verdicts: StoredVerdicts | null;
  readonly taken: string | null;
  readonly requestedHost: string | null;
}) {
  const { verdicts, taken, requestedHost } = props;
  if (verdicts === null) return null;
  return (
    <section className="panel" aria-label="Decision">
      <h2>Decision</h2>
      <p>
        {verdicts.passing} of {verdicts.hosts} hosts could take it
        {requestedHost === null ? '; the scheduler picked.' : `; ${requestedHost} was asked for.`}
      </p>
      <ul>
        {verdicts.ranked.map((candidate) => (
          <li key={candidate.hostId}>
            <strong>{candidate.host}</strong> {candidate.host === taken && <span className="good">taken</span>}
            <span className="muted">
              {' '}
              memory {formatMib(candidate.loadBefore.ramMib.used)} → {formatMib(candidate.loadAfter.ramMib.used)} of{' '}
              {formatMib(candidate.loadBefore.ramMib.capacity)}
              {candidate.why.length > 0 && `; ${candidate.why.join('; ')}`}
            </span>
          </li>
        ))}
        {rejectionsByHost(verdicts.rejected).map(({ host, reasons }) => (
          <li key={host}>
            <strong>{host}</strong> <span className="muted">could not:</span>{' '}
            {reasons
              .map(({ sentence, smallestChange }) => (smallestChange === null ? sentence : `${sentence} (${smallestChange})`))
              .join('; ')}
          </li>
        ))}
      </ul>
    </section>
  );
}
