import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Checkbox, Input, InputNumber, Segmented, Select } from 'antd';
import { useState } from 'react';
import { hostList } from '../api/hosts.ts';
import { type NewOperation, type PlanRequest, planOf } from '../api/operations.ts';
import { type BlockChoice, BlockSelect } from '../components/block-choice.tsx';
import { useConfirmOperation } from '../components/confirm-operation.ts';
import { PageHead } from '../components/page-head.tsx';
import { PlanView } from '../components/plan-view.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { unedited } from '../model/plan-edit.ts';
import { words } from '../words.ts';

const kinds = ['drain', 'maintenance', 'rolling'] as const;
type Kind = (typeof kinds)[number];

/** What each kind does, in the words of whoever is to choose. */
const explained: Readonly<Record<Kind, string>> = {
  drain: 'Disables the hosts, moves everything away, proves them empty and leaves them disabled.',
  maintenance: 'As a drain; the hosts then count as in maintenance until they are brought back, with what was on them if you like.',
  rolling: 'Maintenance of host after host: each is drained, waits until its work is done, and is brought back before the next begins.',
};

type Filters = { readonly hosts?: string; readonly kind?: string };

/** Drain or maintenance of hosts: what would move, in which order, and what cannot and why, before the first move. */
export function Drain() {
  const api = useApi();
  const navigate = useNavigate();
  const search: Filters = useSearch({ strict: false });
  const kind = kinds.find((one) => one === search.kind) ?? 'maintenance';
  const chosen = (search.hosts ?? '').split(',').filter((name) => name !== '');
  const [reason, setReason] = useState('');
  const [block, setBlock] = useState<BlockChoice>('auto');
  const [parallel, setParallel] = useState(1);
  const [moveOthers, setMoveOthers] = useState(false);
  const [atMost, setAtMost] = useState(1);
  const [until, setUntil] = useState<'operator' | 'reboot'>('operator');
  const [bringHome, setBringHome] = useState(true);
  const { confirm, refused } = useConfirmOperation();
  const hosts = useQuery(hostList(api));
  const how = { blockMigration: block, parallel, moveOthers };
  // Rolling: a host is back before the next one is planned, against the placement of that moment.
  const first = kind === 'rolling' ? chosen.slice(0, atMost) : chosen;
  const request: PlanRequest = { kind: 'drain', select: { hosts: [...first] }, ...how };
  const plan = useQuery({ ...planOf(api, request), enabled: chosen.length > 0 });
  const set = (change: Partial<Record<keyof Filters, string | undefined>>): void =>
    void navigate({ to: '.', search: (before: Filters) => ({ ...before, ...change }), replace: true });
  const begin = (): void => {
    const names = chosen.join(', ');
    const moving = plan.data?.items.length ?? 0;
    const stuck = plan.data?.excluded.length ?? 0;
    const shared = { hosts: [...chosen], reason: reason.trim(), ...how };
    const operation: NewOperation =
      kind === 'rolling' ? { kind, ...shared, atMost, until, bringHome } : { kind, ...shared, ...(chosen.length > 1 ? { atMost } : {}) };
    confirm(
      {
        title: `${words.operations[kind]}: ${names}?`,
        content: `${first.length === 1 ? `${first.join('')} is` : `${first.join(', ')} are`} disabled now, and ${moving === 1 ? 'one instance moves' : `${moving} instances move`} away.${stuck > 0 ? ` ${stuck} cannot be moved and ${stuck === 1 ? 'stays' : 'stay'}: the host will not become empty until ${stuck === 1 ? 'it is' : 'they are'} dealt with.` : ''}`,
      },
      operation,
    );
  };
  return (
    <>
      <PageHead title="Drain and maintenance">
        <Button type="primary" disabled={chosen.length === 0 || reason.trim() === ''} onClick={begin}>
          {words.dialog.confirm}
        </Button>
      </PageHead>
      <div className="choice">
        <Segmented
          aria-label="Kind"
          value={kind}
          options={kinds.map((value) => ({ value, label: words.operations[value] }))}
          onChange={(next) => set({ kind: next })}
        />{' '}
        <span className="muted">{explained[kind]}</span>
      </div>
      <div className="toolbar fields">
        <div>
          <label htmlFor="hosts">Hosts</label>
          <Select
            id="hosts"
            mode="multiple"
            placeholder="Choose hosts"
            style={{ minWidth: 230 }}
            value={chosen}
            onChange={(next: string[]) => set({ hosts: next.length === 0 ? undefined : next.join(',') })}
            options={(hosts.data ?? []).filter((host) => host.type !== 'ironic').map(({ name }) => ({ value: name, label: name }))}
          />
        </div>
        <div>
          <label htmlFor="reason">{words.bulkFields.reason}</label>
          <Input
            id="reason"
            required
            maxLength={255}
            style={{ width: 230 }}
            placeholder="Shown to whoever asks why"
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        </div>
        <div>
          <label htmlFor="block-migrate">{words.fields.blockMigrate}</label>
          <BlockSelect value={block} onChange={setBlock} />
        </div>
        <div>
          <label htmlFor="parallel">{words.bulkFields.parallel}</label>
          <InputNumber
            id="parallel"
            min={1}
            max={100}
            precision={0}
            style={{ width: 110 }}
            value={parallel}
            onChange={(next) => setParallel(next ?? 1)}
          />
        </div>
        {(kind === 'rolling' || chosen.length > 1) && (
          <div>
            <label htmlFor="at-most">Hosts at the same time</label>
            <InputNumber
              id="at-most"
              min={1}
              max={1000}
              precision={0}
              style={{ width: 140 }}
              value={atMost}
              onChange={(next) => setAtMost(next ?? 1)}
            />
          </div>
        )}
        {kind === 'rolling' && (
          <div>
            <label htmlFor="until">A host’s work is done when</label>
            <Select
              id="until"
              style={{ width: 190 }}
              value={until}
              onChange={setUntil}
              options={[
                { value: 'operator', label: 'somebody says so' },
                { value: 'reboot', label: 'it has booted again' },
              ]}
            />
          </div>
        )}
        {kind === 'rolling' && (
          <Checkbox checked={bringHome} onChange={(event) => setBringHome(event.target.checked)}>
            Bring the instances home
          </Checkbox>
        )}
        <Checkbox checked={moveOthers} onChange={(event) => setMoveOthers(event.target.checked)}>
          {words.bulkFields.moveOthers}
        </Checkbox>
      </div>
      {chosen.length > 0 && reason.trim() === '' && (
        <p className="muted">{words.dialog.confirm} needs a reason: every verdict will name it while the host is disabled.</p>
      )}
      {refused !== null && <Problem error={refused} what="This was refused; nothing has changed." />}
      {plan.isError && <Problem error={plan.error} what="No plan could be made." />}
      {chosen.length === 0 && <p className="panel">Choose the hosts that are to be emptied.</p>}
      {first.length < chosen.length && (
        <p className="muted">
          This is the plan of {first.join(', ')}; {chosen.slice(first.length).join(', ')}{' '}
          {chosen.length - first.length === 1 ? 'is' : 'are'} planned when the turn comes.
        </p>
      )}
      {chosen.length > 0 && plan.isPending && <p className="muted">Planning…</p>}
      {chosen.length > 0 && plan.data !== undefined && <PlanView plan={plan.data} edit={unedited} hosts={[]} />}
    </>
  );
}
