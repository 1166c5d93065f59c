import type { QmpClient } from '../qemu/qmp-client.ts';

/**
 * Bytes that the guest has written since the mirrors of its disks took them last. Needed while an operation of a mirror hangs on the link: its job then tells the debt of before, and only the
 * bitmap of what was written counts on (conformance: `hanging-mirror-tells-an-old-debt`).
 */
export async function unsentBytes(qmp: QmpClient, timeoutMs: number): Promise<number> {
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true }, { timeoutMs })) as readonly NamedNode[];
  const mirrors = nodes.filter(({ drv }) => drv === 'mirror_top');
  return mirrors.flatMap((node) => node['dirty-bitmaps'] ?? []).reduce((sum, { count }) => sum + count, 0);
}

type NamedNode = { readonly drv: string; readonly 'dirty-bitmaps'?: readonly { readonly count: number }[] };
