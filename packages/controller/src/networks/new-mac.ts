import { randomBytes } from 'node:crypto';

/**
 * A random MAC address under fa:16:3e: locally administered, unicast, and the prefix by which operators recognise an OpenStack port
 * (Neutron's default base_mac). Uniqueness is the database's to enforce.
 */
export function newMac(): string {
  return ['fa', '16', '3e', ...[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
