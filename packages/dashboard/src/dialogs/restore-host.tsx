import { useNavigate } from '@tanstack/react-router';
import { Checkbox, Form } from 'antd';
import { useState } from 'react';
import { beginOperation } from '../api/operations.ts';
import { Dialog } from '../components/dialog.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { words } from '../words.ts';

/** Ends the maintenance of a host: enables it, and brings home what had been moved away. */
export function RestoreHostDialog({ host, onClose }: { readonly host: string; readonly onClose: () => void }) {
  const api = useApi();
  const navigate = useNavigate();
  const [bringHome, setBringHome] = useState(true);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const restore = async (): Promise<void> => {
    setBusy(true);
    setRefused(null);
    try {
      const id = await beginOperation(api, { kind: 'restore', host, bringHome });
      await navigate({ to: `/admin/operations/${id}` });
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`${words.operations.restore} ${host}`}
      okText={words.dialog.confirm}
      okButtonProps={{ loading: busy }}
      onOk={() => void restore()}
      onCancel={onClose}
    >
      {refused !== null && <Problem error={refused} what="This was refused; nothing has changed." />}
      <p>{host} is enabled: instances may be placed on it again.</p>
      <Form.Item>
        <Checkbox checked={bringHome} onChange={(event) => setBringHome(event.target.checked)}>
          Bring home what the last drain moved away
        </Checkbox>
      </Form.Item>
    </Dialog>
  );
}
