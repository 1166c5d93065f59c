import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Checkbox } from 'antd';
import { useState } from 'react';
import { destinations, serverDisks } from '../api/destinations.ts';
import { predictionOf } from '../api/prediction.ts';
import { hostOf, liveMigrate, type Server } from '../api/servers.ts';
import { Dialog } from '../components/dialog.tsx';
import { GuideLink } from '../components/guide-link.tsx';
import { useTellQueued } from '../components/outcomes.tsx';
import { type PolicyChange, PolicyFields } from '../components/policy-fields.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { blockMigrateOf, blockMigrationValue } from '../model/block-migrate.ts';
import { predictionWords } from '../model/prediction-words.ts';
import { words } from '../words.ts';
import { DestinationChoice, mayConfirm } from './destination-choice.tsx';

/** Live Migrate. Confirm queues the move and says so, with a link to the run; whether it succeeds is told when it is known. */
export function LiveMigrateDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const tellQueued = useTellQueued();
  const [host, setHost] = useState<string | null>(null);
  const [block, setBlock] = useState<boolean | null>(null);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const disks = useQuery(serverDisks(api, server.id));
  const preset = blockMigrateOf(disks.data ?? null);
  const checked = block ?? preset.checked;
  const blockMigration = blockMigrationValue(preset, checked);
  const table = useQuery(destinations(api, server.id, 'live', blockMigration));
  const [policy, setPolicy] = useState<PolicyChange>({});
  const prediction = useQuery({
    ...predictionOf(api, server.id, host ?? table.data?.chosen?.name ?? null),
    enabled: table.data !== undefined && table.data.refusal === null && table.data.chosen !== null,
  });

  const confirm = async (): Promise<void> => {
    setBusy(true);
    setRefused(null);
    try {
      await liveMigrate(api, server.id, { host, blockMigration, policy });
    } catch (error) {
      setRefused(error);
      setBusy(false);
      return;
    }
    await tellQueued(api, server.id, `Live migration of ${server.name}`);
    void queries.invalidateQueries({ queryKey: ['server'] });
    void queries.invalidateQueries({ queryKey: ['migration'] });
    onClose();
  };

  return (
    <Dialog
      title={words.actions['live-migrate']}
      okText={words.dialog.confirm}
      okButtonProps={{ disabled: !mayConfirm(table), loading: busy }}
      onOk={() => void confirm()}
      onCancel={onClose}
      width={860}
    >
      {refused !== null && <Problem error={refused} what="The live migration was refused; nothing has changed." />}
      <dl className="facts">
        <dt>{words.fields.instance}</dt>
        <dd>{server.name}</dd>
        <dt>{words.fields.currentHost}</dt>
        <dd>{hostOf(server) ?? '–'}</dd>
        <dt>
          <label htmlFor="block-migrate">{words.fields.blockMigrate}</label>
        </dt>
        <dd>
          <Checkbox
            id="block-migrate"
            checked={checked}
            disabled={preset.disabled}
            onChange={(event) => setBlock(event.target.checked)}
            aria-describedby="block-migrate-why"
          />{' '}
          <span id="block-migrate-why" className="muted">
            {preset.sentence}
          </span>
        </dd>
      </dl>
      <DestinationChoice table={table} host={host} onChange={setHost} />
      {prediction.data !== undefined && (
        <>
          <p data-testid="prediction" aria-live="polite" style={{ margin: '12px 0 8px' }}>
            {predictionWords(prediction.data.prediction)}
          </p>
          <details style={{ marginBottom: 8 }}>
            <summary>Advanced: what this move may cost</summary>
            <PolicyFields policy={prediction.data.policy} change={policy} onChange={setPolicy} />
          </details>
        </>
      )}
      {prediction.isLoading && <p className="muted">Looking at the guest for a prediction…</p>}
      <p className="muted" style={{ marginBottom: 0 }}>
        Needs the role admin, disks on shared storage or Block Migrate, and a destination with a compatible CPU. The guest keeps running
        while its memory is copied; it stands still only for the switch at the end. <GuideLink />
      </p>
    </Dialog>
  );
}
