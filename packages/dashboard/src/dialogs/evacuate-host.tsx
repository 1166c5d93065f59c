import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Checkbox } from 'antd';
import { useState } from 'react';
import { beginOperation, planOf } from '../api/operations.ts';
import { Dialog } from '../components/dialog.tsx';
import { PlanView } from '../components/plan-view.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { unedited } from '../model/plan-edit.ts';
import { words } from '../words.ts';

/** Restarts elsewhere, from their disks, what a dead host had. Says plainly what a false word does. */
export function EvacuateHostDialog({ host, onClose }: { readonly host: string; readonly onClose: () => void }) {
  const api = useApi();
  const navigate = useNavigate();
  const [dead, setDead] = useState(false);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const plan = useQuery(planOf(api, { kind: 'evacuate', select: { host } }));
  const count = plan.data?.items.length ?? 0;
  const evacuate = async (): Promise<void> => {
    setBusy(true);
    setRefused(null);
    try {
      const id = await beginOperation(api, { kind: 'evacuate', host, ...(dead ? { confirmedDead: true } : {}) });
      await navigate({ to: `/admin/operations/${id}` });
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`${words.operations.evacuate} ${host}`}
      okText={`${words.operations.evacuate} ${count === 1 ? 'one instance' : `${count} instances`}`}
      okButtonProps={{ loading: busy, danger: true, disabled: plan.data === undefined || count === 0 }}
      onOk={() => void evacuate()}
      onCancel={onClose}
      width={1000}
    >
      {refused !== null && <Problem error={refused} what="This was refused; nothing has changed." />}
      <p>
        What ran on {host} is started again from its disk on other hosts. Memory, and what a guest had not written to its disk, is lost. It
        is refused unless {host} is fenced, or you give your own word:
      </p>
      <p>
        <Checkbox checked={dead} onChange={(event) => setDead(event.target.checked)}>
          I have made sure that nothing on {host} runs or reaches any disk. If that is false, two copies of a guest run and destroy its
          disk.
        </Checkbox>
      </p>
      {plan.isError && <Problem error={plan.error} what="No plan could be made." />}
      {plan.data !== undefined && <PlanView plan={plan.data} edit={unedited} hosts={[]} />}
    </Dialog>
  );
}
