import { commandsFor, controllerStep } from './controller.ts';
import type { CustodyRow, WayOut } from './custody-row.ts';

/**
 * What an operator can do about an operation whose next step is a host's: wait for it, or fence it. `restart-from-disk`: fencing it leaves no copy,
 * and what the guest had written but not flushed to its disk is lost; `continue`: the guest runs, or its fate is decided, elsewhere.
 * `holderIsAwaited`: what is under way waits for the word of the host that has the guest. Empty when nothing is waited for.
 */
export function waysOut(row: CustodyRow, holderIsAwaited = false): readonly WayOut[] {
  const hosts = new Set(commandsFor({ ...row, remains: [] }).flatMap((effect) => (effect.kind === 'refuse' ? [] : [effect.to])));
  if (holderIsAwaited && row.holder.kind === 'host') hosts.add(row.holder.hostId);
  return [...hosts].flatMap((hostId): readonly WayOut[] => {
    const { holder } = controllerStep(row, { kind: 'fenced', fence: row.fence, hostId }).row;
    return [
      { kind: 'wait', hostId },
      { kind: 'fenced', hostId, outcome: holder.kind === 'nowhere' ? 'restart-from-disk' : 'continue' },
    ];
  });
}
