import type { HostStep, ItemState, OperationState } from '@godwit/domain/drain-plan/fleet-operation';
import type { OperationSummary } from '../api/operations.ts';
import { words } from '../words.ts';

type Tone = 'good' | 'busy' | 'warn' | 'bad' | '';
const tones: Readonly<Record<OperationState | ItemState | HostStep, Tone>> = {
  running: 'busy',
  paused: 'warn',
  aborting: 'warn',
  completed: 'good',
  incomplete: 'bad',
  aborted: 'warn',
  waiting: '',
  moving: 'busy',
  done: 'good',
  failed: 'bad',
  excluded: 'warn',
  skipped: '',
  cancelled: 'warn',
  draining: 'busy',
  empty: 'good',
  'not-empty': 'bad',
  'in-maintenance': 'warn',
  restoring: 'busy',
  restored: 'good',
};

/** A state of an operation, of one of its items or of one of its hosts, in the API's own word. */
export const StateWord = ({ state }: { readonly state: OperationState | ItemState | HostStep }) => (
  <span className={`status ${tones[state]}`}>{state}</span>
);

/** `Maintenance of node1`, `Bulk Live Migrate of 12 instances`. */
export function operationTitle({ kind, hosts, counts }: Pick<OperationSummary, 'kind' | 'hosts' | 'counts'>): string {
  const count = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const names = hosts.map(({ host }) => host.name);
  const of =
    kind === 'bulk' || names.length === 0
      ? `${count} ${count === 1 ? 'instance' : 'instances'}`
      : names.length > 3
        ? `${names.length} hosts`
        : names.join(', ');
  return `${words.operations[kind]} of ${of}`;
}

/** Items that need nothing more, of all. */
export function operationProgress({ counts }: Pick<OperationSummary, 'counts'>): { readonly ended: number; readonly total: number } {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
  return { ended: total - counts.waiting - counts.moving, total };
}
