import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { App, Button } from 'antd';
import { lazy, Suspense, useEffect, useRef } from 'react';
import { abortMigration, confirmWindow, isOver, type MigrationRecord, migrationShow } from '../api/migrations.ts';
import { announce } from '../components/announcer.tsx';
import { DecideMove } from '../components/decide-move.tsx';
import { Decision } from '../components/decision.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { Remedies } from '../components/remedies.tsx';
import { useApi } from '../components/signed-in.tsx';
import { MigrationStatusWord } from '../components/status.tsx';
import { useSamples } from '../components/use-samples.ts';
import { WaysOut } from '../components/ways-out.tsx';
import { useNow, When } from '../components/when.tsx';
import { formatBytes, formatDuration } from '../model/formats.ts';
import { furthestPercent, phaseSteps, progressPercent, timeLeft } from '../model/migration-progress.ts';
import { nextSteps, whereItRuns } from '../model/next-steps.ts';
import { predictionWords } from '../model/prediction-words.ts';
import { words } from '../words.ts';

const MigrationChart = lazy(async () => ({ default: (await import('../components/migration-chart.tsx')).MigrationChart }));

/** One move, from the request to its end and after. */
export function MigrationPage() {
  const api = useApi();
  const { id } = useParams({ strict: false });
  const migrationId = id ?? '';
  const known = useQuery(migrationShow(api, migrationId));
  const moving = known.data !== undefined && !isOver(known.data.status);
  const polled = useQuery({ ...migrationShow(api, migrationId), refetchInterval: useFallbackPolling(moving) });
  const record = polled.data;
  useAnnounced(record);
  if (record === undefined) {
    return (
      <>
        <PageHead title="Migration" />
        {polled.isError ? <Problem error={polled.error} what="This migration cannot be shown." /> : <p className="muted">Loading…</p>}
      </>
    );
  }
  return (
    <>
      <PageHead title={`Run ${record.apiId}: ${record.serverName}`}>
        <MigrationStatusWord status={record.status} />
        <Abort record={record} />
      </PageHead>
      <section className="panel" aria-label="Course">
        <p style={{ marginTop: 0 }}>
          <Link to={`/admin/instances/${record.serverId}`}>{record.serverName}</Link>, {record.type}, {record.source?.name ?? '–'} →{' '}
          {record.destination?.name ?? (record.requestedHost === null ? 'not decided yet' : `${record.requestedHost} (asked for)`)}, asked
          for <When time={record.createdAt} />
        </p>
        {record.type === 'live-migration' && <Progress record={record} />}
        <Phases record={record} />
      </section>
      <WaysOut record={record} />
      <Remedies record={record} />
      {record.outcome !== null && record.outcome.cause !== null && <FailureCard record={record} />}
      {record.type === 'live-migration' && hasCopied(record) && (
        <>
          <Measures record={record} />
          <Suspense fallback={<p className="muted">Loading…</p>}>
            <MigrationChart record={record} />
          </Suspense>
        </>
      )}
      {record.status === 'finished' && <WaitingForDecision record={record} />}
      {record.attempts.length > 0 && (
        <section className="panel" aria-label="Earlier attempts">
          <h2>Tried before</h2>
          <ul>
            {record.attempts.map((attempt) => (
              <li key={`${attempt.host} ${attempt.at}`}>
                <strong>{attempt.host}</strong> <span className="bad">{attempt.cause}</span> {attempt.sentence}
              </li>
            ))}
          </ul>
        </section>
      )}
      <Decision verdicts={record.verdicts} taken={record.destination?.name ?? null} requestedHost={record.requestedHost} />
      <Timeline record={record} />
    </>
  );
}

/** Of a move that ended before there is nothing to measure. */
const hasCopied = ({ timeline }: MigrationRecord): boolean => timeline.some(({ what, detail }) => what === 'phase' && detail === 'copying');

function WaitingForDecision({ record }: { readonly record: MigrationRecord }) {
  const api = useApi();
  const window = useQuery(confirmWindow(api));
  return (
    <section className="panel" aria-label="Waiting for confirmation">
      <p style={{ marginTop: 0 }}>
        {record.serverName} runs on {record.destination?.name ?? 'its new host'}; {record.source?.name ?? 'the source'} keeps room and disks
        for it until the move is confirmed or reverted.
      </p>
      <span style={{ display: 'flex', flexWrap: 'wrap', gap: 8, alignItems: 'center' }}>
        <DecideMove server={{ id: record.serverId, name: record.serverName }} since={record.updatedAt} windowMs={window.data} />
      </span>
    </section>
  );
}

function useAnnounced(record: MigrationRecord | undefined): void {
  const before = useRef<string | null>(null);
  const phase = record?.phase ?? null;
  const name = record?.serverName ?? '';
  useEffect(() => {
    if (phase === null) return;
    if (before.current !== null && before.current !== phase) announce(`Migration of ${name}: ${phase}`);
    before.current = phase;
  }, [phase, name]);
}

function Abort({ record }: { readonly record: MigrationRecord }) {
  const api = useApi();
  const queries = useQueryClient();
  const { message, modal } = App.useApp();
  // Nothing is copied while a cold move's guest runs: what can be undone of it is undone by Revert.
  if (isOver(record.status) || record.type !== 'live-migration') return null;
  const asked = record.abortRequestedAt !== null;
  const abort = async (): Promise<void> => {
    try {
      await abortMigration(api, record.id);
      announce('Abort requested');
      void message.info('Abort requested: the run ends as cancelled, or completed if the switch had happened');
    } catch (error) {
      void message.error(error instanceof Error ? error.message : String(error), 8);
    }
    void queries.invalidateQueries({ queryKey: ['migration', 'show', record.id] });
  };
  return (
    <Button
      danger
      disabled={asked}
      onClick={() =>
        modal.confirm({
          title: `Abort the migration of ${record.serverName}?`,
          content: `The copy is thrown away; ${record.serverName} goes on running on ${record.source?.name ?? 'its host'}. Once the switch has happened it cannot be aborted any more.`,
          okText: words.abort,
          okButtonProps: { danger: true },
          cancelText: words.dialog.cancel,
          onOk: abort,
        })
      }
    >
      {asked ? 'Abort requested' : words.abort}
    </Button>
  );
}

function Progress({ record }: { readonly record: MigrationRecord }) {
  const samples = useSamples(record.id);
  // Also the furthest that it was before this page was opened.
  const least = samples.reduce((remaining, sample) => Math.min(remaining, sample.remainingBytes), Number.POSITIVE_INFINITY);
  const total = (record.memory.totalBytes ?? 0) + (record.disk.totalBytes ?? 0);
  const before = Number.isFinite(least) && total > 0 ? Math.min(99, Math.max(0, Math.round(100 * (1 - least / total)))) : 0;
  const percent = furthestPercent(record.id, Math.max(before, progressPercent(record)));
  const latest = samples.at(-1);
  const left = record.phase === 'copying' && latest !== undefined ? timeLeft(latest) : null;
  const sending = record.memory.remainingBytes !== null;
  return (
    <div style={{ marginBottom: 12 }}>
      <div
        className="bar"
        style={{ height: 10, borderRadius: 5 }}
        role="progressbar"
        aria-label={`Progress of the migration of ${record.serverName}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <span className={record.outcome?.cause == null ? '' : 'over'} style={{ width: `${percent}%` }} />
      </div>
      <div className="muted" style={{ display: 'flex', gap: 16, flexWrap: 'wrap', marginTop: 4 }}>
        <span>{percent}%</span>
        {sending && (
          <span>
            {formatBytes(record.memory.remainingBytes)} of {formatBytes(record.memory.totalBytes)} memory left
          </span>
        )}
        {record.queuePosition !== null && <span>Position {record.queuePosition} in the queue for the migration links</span>}
        {left !== null && (
          <span>
            {left.worstMs === null
              ? 'At the present rates it does not converge: the guest writes memory as fast as it is sent'
              : `Switchover in ${rangeWords(left.bestMs, left.worstMs)} at the present rates`}
          </span>
        )}
      </div>
    </div>
  );
}

/** One figure where both ends read the same. */
function rangeWords(bestMs: number, worstMs: number): string {
  const [best, worst] = [formatDuration(bestMs), formatDuration(worstMs)];
  return best === worst ? `about ${best}` : `${best} to ${worst}`;
}

function Phases({ record }: { readonly record: MigrationRecord }) {
  const steps = phaseSteps(record);
  const start = record.timeline.findLast((entry) => entry.clock === 'controller' && entry.what === 'phase')?.at;
  return (
    <ol className="phases" aria-label="Phases">
      {steps.map((step) => (
        <li key={step.phase} className={step.state} aria-current={step.state === 'current' ? 'step' : undefined}>
          {step.phase}
          <span className="muted">
            {step.state === 'current' ? (
              <Running since={start} />
            ) : step.state === 'failed' ? (
              'ended here'
            ) : step.state === 'pending' ? (
              ''
            ) : (
              formatDuration(step.durationMs)
            )}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Running({ since }: { readonly since: number | undefined }) {
  const now = useNow();
  return since === undefined ? 'now' : `for ${formatDuration(Math.max(0, Math.floor((now - since) / 1000) * 1000))}`;
}

/** What went wrong, what was seen of it, where the guest runs now, and what to do. */
function FailureCard({ record }: { readonly record: MigrationRecord }) {
  const { outcome } = record;
  if (outcome === null || outcome.cause === null) return null;
  const over = isOver(record.status);
  return (
    <section className="panel" aria-label="What happened" style={{ borderColor: 'var(--bad)' }}>
      <h2>
        <span className="bad">{outcome.cause}</span>
      </h2>
      <p>{outcome.sentence}</p>
      {over ? (
        <p>
          <strong data-testid="runs-on">{whereItRuns(outcome, record.source?.name ?? null, record.destination?.name ?? null)}</strong>{' '}
          {outcome.runsOn === 'source' &&
            record.destination !== null &&
            `What had been prepared on ${record.destination.name} was undone and its claim given back.`}
        </p>
      ) : (
        <p>The move is being undone; where the guest runs is told when that is known.</p>
      )}
      {outcome.evidence.length > 0 && (
        <>
          <h2>Evidence</h2>
          <ul>
            {outcome.evidence.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </>
      )}
      <h2>Next step</h2>
      <p style={{ marginBottom: 0 }}>{nextSteps[outcome.cause]}</p>
    </section>
  );
}

function Measures({ record }: { readonly record: MigrationRecord }) {
  const { measures } = record;
  const total = record.finishedAt === null ? null : Date.parse(record.finishedAt) - Date.parse(record.createdAt);
  const rate = (bytes: number | null): string => (bytes === null ? '–' : `${formatBytes(bytes)}/s`);
  const figures: readonly (readonly [string, string, string?])[] = [
    [
      'Blackout',
      measures.blackoutMs === null ? '–' : `${formatDuration(measures.blackoutMs)}`,
      `From the guest’s stop on the source to its start on the destination, as measured${measures.clockErrorMs === null ? '' : `; the clocks agree within ${formatDuration(measures.clockErrorMs)}`}`,
    ],
    ['QEMU’s downtime', formatDuration(measures.qemuDowntimeMs), 'QEMU’s own figure; it ends on the source'],
    ['Godwit’s share', formatDuration(measures.ownShareMs), 'From the end of the transfer to the guest’s start'],
    ['Request to end', formatDuration(total)],
    ['Memory sent', formatBytes(record.memory.processedBytes)],
    ['Rounds', measures.rounds === null ? '–' : String(measures.rounds)],
    ['Dirty rate', rate(measures.dirtyRateBytesPerSecond)],
    ['Throughput', rate(measures.throughputBytesPerSecond), 'Of memory, before compression'],
    ...(record.memoryStream === null ? [] : [['Memory stream', record.memoryStream.used] as const]),
  ];
  return (
    <section className="panel" aria-label="Measures">
      <h2>Measures</h2>
      {record.prediction !== null && (
        <p className="muted" style={{ marginTop: 0 }}>
          Told before the move. {predictionWords(record.prediction)}
        </p>
      )}
      {record.memoryStream !== null && record.memoryStream.why !== '' && (
        <p className="muted" style={{ marginTop: 0 }}>
          Memory goes {record.memoryStream.used === 'single' ? 'in one stream' : `by ${record.memoryStream.used}`}, not{' '}
          {record.memoryStream.asked === 'single' ? 'in one' : `by ${record.memoryStream.asked}`}. {record.memoryStream.why}
        </p>
      )}
      <dl className="figures">
        {figures.map(([title, value, hint]) => (
          <div key={title} title={hint}>
            <dt>{title}</dt>
            <dd>
              {value}
              {title === 'Blackout' && measures.clockErrorMs !== null && (
                <span className="muted" style={{ fontSize: 12 }}>
                  {' '}
                  ± {formatDuration(measures.clockErrorMs)}
                </span>
              )}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Timeline({ record }: { readonly record: MigrationRecord }) {
  const begin = record.timeline[0]?.at ?? Date.parse(record.createdAt);
  return (
    <details className="panel">
      <summary>Timeline ({record.timeline.length} entries) and request</summary>
      <dl className="facts" style={{ marginTop: 8 }}>
        <dt>Migration</dt>
        <dd className="mono">{record.id}</dd>
        <dt>Request</dt>
        <dd className="mono">{record.requestId}</dd>
        {record.timeline.map((entry) => (
          <Entry key={`${entry.at} ${entry.clock} ${entry.what} ${entry.detail ?? ''}`} entry={entry} begin={begin} />
        ))}
      </dl>
    </details>
  );
}

const Entry = ({ entry, begin }: { readonly entry: MigrationRecord['timeline'][number]; readonly begin: number }) => (
  <>
    <dt className="number">+{((entry.at - begin) / 1000).toFixed(3)} s</dt>
    <dd>
      <span className="muted">{entry.clock}</span> {entry.what} {entry.detail}
    </dd>
  </>
);
