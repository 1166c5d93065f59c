import { factOfRunState, type GuestFact } from './guest-fact.ts';
import type { QmpClient } from './qmp-client.ts';

type Block = { readonly qdev?: string; readonly device: string; readonly 'io-status'?: 'ok' | 'failed' | 'nospace' };

/**
 * What QEMU says of its guest now; null in a state that lasts only an instant. Of an I/O error also which disk has it: the event of it says that too, but QEMU holds one back that follows another within a
 * second, and tells it when the guest may run again. Throws as `execute` does.
 */
export async function factNow(qmp: Pick<QmpClient, 'execute'>, options: { readonly timeoutMs?: number } = {}): Promise<GuestFact | null> {
  const { status } = (await qmp.execute('query-status', undefined, options)) as { readonly status: string };
  const fact = factOfRunState(status);
  if (fact?.kind !== 'io-error') return fact;
  const blocks = (await qmp.execute('query-block', undefined, options)) as readonly Block[];
  const stopped = blocks.find((block) => (block['io-status'] ?? 'ok') !== 'ok');
  // A disk of the host that the guest has come from.
  if (stopped === undefined) return fact;
  return { ...fact, device: stopped.qdev ?? stopped.device, noSpace: stopped['io-status'] === 'nospace' };
}
