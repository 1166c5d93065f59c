import { type PolicyField, policyFields, postCopyRefusal } from '@godwit/domain/convergence/policy';
import { type MemoryStream, memoryStreams } from '@godwit/domain/memory-stream';
import { Checkbox, InputNumber, Select } from 'antd';
import type { ConvergencePolicy, ResolvedPolicy } from '../api/prediction.ts';

/** What has been changed of the policy that would hold anyway. */
export type PolicyChange = Partial<ConvergencePolicy>;

const sources = {
  request: 'for this move',
  flavor: 'from the flavor',
  project: 'from the project',
  default: 'from the cloud’s policy',
  'built-in': 'by default',
} as const;

const streamWords: Readonly<Record<MemoryStream, string>> = {
  single: 'one stream',
  multifd: 'several channels, where both hosts can',
  zstd: 'several channels, compressed, where both hosts can',
};

/** What this move may cost, under "advanced": preset by flavor, project and cloud; what is changed here holds for this move alone. */
export function PolicyFields(props: {
  readonly policy: ResolvedPolicy;
  readonly change: PolicyChange;
  readonly onChange: (change: PolicyChange) => void;
}) {
  const { policy, change, onChange } = props;
  const now = { ...policy, ...change };
  const set = <Field extends PolicyField>(field: Field, value: ConvergencePolicy[Field]): void => onChange({ ...change, [field]: value });
  const amount = (field: 'largestBlackoutMs' | 'deadlineMs' | 'slowDownPercent', scale: number, unit: string) => (
    <span>
      <InputNumber
        id={`policy-${field}`}
        min={0}
        precision={0}
        style={{ width: 110 }}
        value={now[field] / scale}
        onChange={(value) => {
          if (value !== null) set(field, Math.round(value * scale));
        }}
      />{' '}
      {unit}
    </span>
  );
  const from = (field: PolicyField) => <span className="muted"> {sources[field in change ? 'request' : policy.from[field]]}</span>;
  return (
    <dl className="facts inputs">
      <dt>
        <label htmlFor="policy-largestBlackoutMs">Largest blackout</label>
      </dt>
      <dd title={policyFields.largestBlackoutMs.allowed}>
        {amount('largestBlackoutMs', 1, 'ms')}
        {from('largestBlackoutMs')}
      </dd>
      <dt>
        <label htmlFor="policy-deadlineMs">Deadline of the copy</label>
      </dt>
      <dd>
        {amount('deadlineMs', 1000, 's')}
        {from('deadlineMs')}
      </dd>
      <dt>
        <label htmlFor="policy-slowDownPercent">Slow the guest down</label>
      </dt>
      <dd>
        {amount('slowDownPercent', 1, '% of its CPU time at most; 0: not at all')}
        {from('slowDownPercent')}
      </dd>
      <dt>
        <label htmlFor="policy-postCopy">Post-copy</label>
      </dt>
      <dd>
        <Checkbox id="policy-postCopy" checked={false} disabled>
          {postCopyRefusal.sentence}
        </Checkbox>
      </dd>
      <dt>
        <label htmlFor="policy-whenNotConverging">When it does not converge</label>
      </dt>
      <dd>
        <Select
          id="policy-whenNotConverging"
          style={{ width: 330 }}
          value={now.whenNotConverging}
          onChange={(value) => set('whenNotConverging', value)}
          options={[
            { value: 'give-up', label: 'give up: the guest goes on where it is' },
            { value: 'pause', label: 'pause: the guest stands still until the rest is sent' },
          ]}
        />
        {from('whenNotConverging')}
      </dd>
      <dt>
        <label htmlFor="policy-memoryStream">Memory stream</label>
      </dt>
      <dd>
        <Select
          id="policy-memoryStream"
          style={{ width: 330 }}
          value={now.memoryStream}
          onChange={(value) => set('memoryStream', value)}
          options={memoryStreams.map((value) => ({ value, label: streamWords[value] }))}
        />
        {from('memoryStream')}
      </dd>
    </dl>
  );
}
