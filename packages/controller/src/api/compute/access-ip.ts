import { isIPv4, isIPv6 } from 'node:net';
import { GodwitError } from '@godwit/domain/errors';

/** An access address of a body, null for none. The pattern of the schema lets some through that are no addresses: throws `BadRequest` for those. */
export function accessIp(name: 'accessIPv4' | 'accessIPv6', value: string | null): string | null {
  if (value === null || value === '') return null;
  if (!(name === 'accessIPv4' ? isIPv4(value) : isIPv6(value)))
    throw new GodwitError('BadRequest', `Invalid input for field/attribute ${name}. Value: ${value}. is not an address`);
  return value;
}
