import { postCopyRefusal } from '@godwit/domain/convergence/policy';
import { Link } from '@tanstack/react-router';
import { App, Button } from 'antd';
import type { ReactNode } from 'react';
import { abortMigration, capMigration, changePolicy, forceComplete, isOver, type MigrationRecord } from '../api/migrations.ts';
import { formatBytes, formatDuration } from '../model/formats.ts';
import { timeLeft } from '../model/migration-progress.ts';
import { words } from '../words.ts';
import { useApi } from './signed-in.tsx';
import { useChange } from './use-change.ts';
import { useSamples } from './use-samples.ts';

/** What can be done about a copy that goes on, each with what it costs, when it does not come to an end by itself. */
export function Remedies({ record }: { readonly record: MigrationRecord }) {
  const api = useApi();
  const { modal } = App.useApp();
  const { busy, run } = useChange('migration');
  const samples = useSamples(record.id);
  const latest = samples.at(-1);
  if (record.phase !== 'copying' || record.type !== 'live-migration' || isOver(record.status) || latest === undefined) return null;
  const left = timeLeft(latest);
  const converges = left !== null && left.worstMs !== null;
  const pauseMs = latest.sentBytesPerSecond > 0 ? (latest.remainingBytes / latest.sentBytesPerSecond) * 1000 : null;
  const blackoutMs = record.policy?.largestBlackoutMs ?? null;
  const raisedMs = Math.min(600_000, (blackoutMs ?? 500) * 4);
  const slowDown = record.policy?.slowDownPercent ?? 0;
  const finish = (): void => {
    modal.confirm({
      title: `Force the migration of ${record.serverName} to complete?`,
      content: `${record.serverName} stands still until the rest is sent: about ${formatDuration(pauseMs)} at the present rate.`,
      okText: words.forceComplete,
      cancelText: words.dialog.cancel,
      onOk: async () => void (await run(`Forced completion of ${record.serverName} accepted`, () => forceComplete(api, record.id))),
    });
  };
  const abort = (): void => {
    modal.confirm({
      title: `Abort the migration of ${record.serverName}?`,
      content: `The copy is thrown away; ${record.serverName} goes on running on ${record.source?.name ?? 'its host'}.`,
      okText: words.abort,
      okButtonProps: { danger: true },
      cancelText: words.dialog.cancel,
      onOk: async () => void (await run('Abort requested', () => abortMigration(api, record.id))),
    });
  };
  return (
    <details className="panel" open={!converges} aria-label="Remedies">
      <summary>{converges ? 'What can be done about it' : 'It does not converge at the present rates: what can be done about it'}</summary>
      <dl className="facts" style={{ marginTop: 8 }}>
        <Remedy
          button={
            <Button
              size="small"
              disabled={busy}
              onClick={() =>
                void run(`A blackout of ${formatDuration(raisedMs)} is allowed`, () =>
                  changePolicy(api, record.id, { largestBlackoutMs: raisedMs }),
                )
              }
            >
              Raise the blackout
            </Button>
          }
          cost={`The guest may stand still for up to ${formatDuration(raisedMs)} at the switch${blackoutMs === null ? '' : `, instead of ${formatDuration(blackoutMs)}`}; nothing is lost.`}
        />
        <Remedy
          button={
            <Button
              size="small"
              disabled={busy || slowDown >= 90}
              title={slowDown >= 90 ? 'It is slowed down as far as it goes.' : undefined}
              onClick={() =>
                void run('The guest may be slowed down', () =>
                  changePolicy(api, record.id, { slowDownPercent: Math.min(90, slowDown + 60) }),
                )
              }
            >
              Throttle
            </Button>
          }
          cost={`Up to ${Math.min(90, slowDown + 60)} % of the guest’s CPU time may be taken while the copy lasts, so that it writes less; it works more slowly.`}
        />
        <Remedy
          button={
            <Button size="small" disabled title={postCopyRefusal.sentence}>
              Post-copy now
            </Button>
          }
          cost={postCopyRefusal.sentence}
        />
        <Remedy
          button={
            <Button size="small" disabled={busy} onClick={finish}>
              Pause and finish
            </Button>
          }
          cost={`The guest stands still for about ${formatDuration(pauseMs)}; nothing is lost.`}
        />
        {record.maxBandwidthBytes !== null && (
          <Remedy
            button={
              <Button size="small" disabled={busy} onClick={() => void run('The cap is lifted', () => capMigration(api, record.id, null))}>
                Lift the cap
              </Button>
            }
            cost={`It may send ${formatBytes(record.maxBandwidthBytes)}/s; without the cap, as much as the links allow. Other traffic on them gets less.`}
          />
        )}
        <Remedy
          button={
            <Button size="small" danger disabled={busy || record.abortRequestedAt !== null} onClick={abort}>
              {words.abort}
            </Button>
          }
          cost={
            <>
              Nothing is lost; the guest goes on where it is. Then {words.actions['live-migrate']} again when the guest is less busy, or{' '}
              <Link to={`/admin/instances/${record.serverId}`}>{words.actions.migrate}</Link>: the guest is shut down and down for as long
              as a restart takes.
            </>
          }
        />
      </dl>
    </details>
  );
}

const Remedy = ({ button, cost }: { readonly button: ReactNode; readonly cost: ReactNode }) => (
  <>
    <dt>{button}</dt>
    <dd>{cost}</dd>
  </>
);
