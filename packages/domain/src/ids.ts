/**
 * Branded identifiers: a server id cannot be passed where a host id is wanted.
 * All are plain strings on the wire and in the database.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** UUID of a server (OpenStack: instance uuid). */
export type ServerId = Branded<'ServerId'>;
/** UUID of a host; stable over reboots and renames; the subject of the host's certificate. */
export type HostId = Branded<'HostId'>;
/** UUID of a migration (the API's integer id is another column). */
export type MigrationId = Branded<'MigrationId'>;
export type ProjectId = Branded<'ProjectId'>;
export type ImageId = Branded<'ImageId'>;
export type NetworkId = Branded<'NetworkId'>;
export type PortId = Branded<'PortId'>;
export type ServerGroupId = Branded<'ServerGroupId'>;
/** Changes with every boot of a host (the kernel's boot_id, or an injected one in the lab). */
export type BootId = Branded<'BootId'>;

/** Custody epoch of a server: a positive safe integer that only grows; numbers are burned, never reused. */
export type Epoch = number & { readonly [brand]: 'Epoch' };
/** Fence of an executor: taken from the database when it starts; agents refuse lower ones. */
export type Fence = number & { readonly [brand]: 'Fence' };

/** Narrows a string from an edge (database row, RPC, URL) that has been checked there to a branded id. */
export const as = <T extends string>(value: string): T => value as T;
/** Narrows a number from an edge to an epoch; throws RangeError when it is not a non-negative safe integer. */
export const asEpoch = (value: number): Epoch => counter(value, 'epoch') as Epoch;
/** Narrows a number from an edge to a fence; throws RangeError when it is not a non-negative safe integer. */
export const asFence = (value: number): Fence => counter(value, 'fence') as Fence;

function counter(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what} is not a counter: ${value}`);
  return value;
}
