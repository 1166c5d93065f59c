import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { destinations } from '../api/destinations.ts';
import { coldMigrate, hostOf, type Server } from '../api/servers.ts';
import { Dialog } from '../components/dialog.tsx';
import { GuideLink } from '../components/guide-link.tsx';
import { useTellQueued } from '../components/outcomes.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { words } from '../words.ts';
import { DestinationChoice, mayConfirm } from './destination-choice.tsx';

/** Migrate: the guest is shut down, moved and started again; then its owner confirms or reverts. */
export function MigrateDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const tellQueued = useTellQueued();
  const [host, setHost] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const table = useQuery(destinations(api, server.id, 'cold', 'auto'));

  const confirm = async (): Promise<void> => {
    setBusy(true);
    setRefused(null);
    try {
      await coldMigrate(api, server.id, host);
      await tellQueued(api, server.id, `Migration of ${server.name}`);
      void queries.invalidateQueries({ queryKey: ['server'] });
      onClose();
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={words.actions.migrate}
      okText={words.dialog.confirm}
      okButtonProps={{ disabled: !mayConfirm(table), loading: busy }}
      onOk={() => void confirm()}
      onCancel={onClose}
      width={860}
    >
      {refused !== null && <Problem error={refused} what="The migration was refused; nothing has changed." />}
      <dl className="facts">
        <dt>{words.fields.instance}</dt>
        <dd>{server.name}</dd>
        <dt>{words.fields.currentHost}</dt>
        <dd>{hostOf(server) ?? '–'}</dd>
      </dl>
      <DestinationChoice table={table} host={host} onChange={setHost} />
      <p className="muted" style={{ marginBottom: 0 }}>
        The guest is shut down, moved and started on the other host. The instance then stands in Verify Resize until the move is confirmed
        or reverted. <GuideLink />
      </p>
    </Dialog>
  );
}
