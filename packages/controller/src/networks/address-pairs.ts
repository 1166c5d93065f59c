import { GodwitError } from '@godwit/domain/errors';
import { parseAddress, parseCidr } from './ip-range.ts';

/** What a port may send as besides its own addresses: an address or prefix, with its own MAC or another. */
export type AddressPair = { readonly address: string; readonly mac?: string };

export const withMac = (pairs: readonly AddressPair[], mac: string): readonly Required<AddressPair>[] =>
  pairs.map((pair) => ({ address: pair.address, mac: (pair.mac ?? mac).toLowerCase() }));

/**
 * Throws BadRequest for a pair that is none, Conflict where port security is off and something would need it (networking API: 409).
 */
export function assertSecurity(portSecurity: boolean, groupIds: readonly string[], pairs: readonly AddressPair[]): void {
  for (const { address } of pairs)
    if (parseAddress(address) === null && parseCidr(address) === null)
      throw new GodwitError(
        'BadRequest',
        `Invalid input for allowed_address_pairs. Reason: '${address.slice(0, 64)}' is not a valid IP subnet.`,
      );
  if (portSecurity) return;
  if (groupIds.length > 0)
    throw new GodwitError(
      'Conflict',
      'Port has security group associated. Cannot disable port security or IP address until security group is removed.',
    );
  if (pairs.length > 0)
    throw new GodwitError('Conflict', 'Port Security must be enabled in order to have allowed address pairs on a port.');
}
