import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';

/**
 * One long operation per server at a time: another one is refused with Conflict. Who asks again for what is under way, by its name, gets its result: the first caller may have given up while this
 * host stood still, and the same one asks twice.
 */
export type Exclusive = <T>(serverId: ServerId, work: () => Promise<T>, name?: string) => Promise<T>;

export function oneAtATime(): Exclusive {
  const busy = new Map<ServerId, { readonly name: string | undefined; readonly result: Promise<unknown> }>();
  return async <T>(serverId: ServerId, work: () => Promise<T>, name?: string): Promise<T> => {
    const first = busy.get(serverId);
    if (first !== undefined) {
      // What has one name has one result.
      if (name !== undefined && first.name === name) return (await first.result) as T;
      throw new GodwitError('Conflict', `another operation on server ${serverId} has not ended on this host`);
    }
    const result = work();
    busy.set(serverId, { name, result });
    try {
      return await result;
    } finally {
      busy.delete(serverId);
    }
  };
}
