import type { StoredVerdicts } from '@godwit/domain/scheduling/stored-verdicts';
import { formatMib } from '../model/formats.ts';

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
        {verdicts.rejected.flatMap((rejection) =>
          rejection.examples.map((example) => (
            <li key={`${rejection.code} ${example.hosts.join(' ')}`}>
              <strong>{example.hosts.join(', ')}</strong> <span className="muted">no:</span> {example.sentence}
              {example.smallestChange !== null && <span className="muted"> ({example.smallestChange})</span>}
            </li>
          )),
        )}
      </ul>
    </section>
  );
}
