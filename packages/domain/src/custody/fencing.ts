import type { HostId } from '../ids.ts';
import { controllerStep } from './controller.ts';
import type { CustodyRow } from './custody-row.ts';

/**
 * True when the fencing of this host decides something for this server that is not decided yet: its guest is there by the row, or an operation waits for the host. Fed more than once
 * it would only burn epochs.
 */
export function fencingDecides(row: CustodyRow, hostId: HostId): boolean {
  const { holder, operation } = controllerStep(row, { kind: 'fenced', fence: row.fence, hostId }).row;
  return !same(holder, row.holder) || !same(operation, row.operation);
}

const same = (a: object | null, b: object | null): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What an operator confirms by fencing a host, and what a false word does: shown before it is asked for, and with a refusal. */
export const fencingWarning = (host: string): string =>
  `Fencing says that host ${host} is powered off, or cut off from every disk and network that its guests use. Nothing can check this. If it is false, two copies of a guest will run and ` +
  'write to one disk. What its guests had not written to their disks is lost, and whatever still runs there is killed when the host returns.';
