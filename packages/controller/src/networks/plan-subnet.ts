import { GodwitError } from '@godwit/domain/errors';
import { type Address, formatAddress, parseAddress, parseCidr, usableRange } from './ip-range.ts';

export type SubnetRequest = {
  readonly cidr: string;
  readonly ipVersion?: number;
  /** Absent: the first address. Null: none. */
  readonly gateway?: string | null;
  readonly pools?: readonly { readonly start: string; readonly end: string }[];
};

export type SubnetPlan = { readonly cidr: string; readonly gateway: string | null; readonly poolStart: string; readonly poolEnd: string };

/** What a subnet request means, defaults filled in. Pure. Throws BadRequest for what does not fit together. */
export function planSubnet(request: SubnetRequest): SubnetPlan {
  const cidr = parseCidr(request.cidr);
  if (cidr === null)
    throw new GodwitError('BadRequest', `Invalid input for cidr. Reason: '${request.cidr.slice(0, 60)}' is not a valid IP subnet.`);
  const { version } = cidr;
  if (request.ipVersion !== undefined && request.ipVersion !== version)
    throw new GodwitError(
      'BadRequest',
      `Invalid input for operation: ip_version ${request.ipVersion} does not match cidr ${request.cidr}.`,
    );
  const usable = usableRange(cidr);
  const inside = (text: string, what: string): Address => {
    const address = parseAddress(text);
    if (address === null || address.version !== version || address.value < usable.first || address.value > usable.last) {
      throw new GodwitError(
        'BadRequest',
        `Invalid input for operation: ${what} ${text.slice(0, 60)} is not an address of subnet ${request.cidr}.`,
      );
    }
    return address;
  };
  const single = usable.first === usable.last;
  const gateway =
    request.gateway === null || (request.gateway === undefined && single)
      ? null
      : request.gateway === undefined
        ? { version, value: usable.first }
        : inside(request.gateway, 'gateway_ip');
  const [pool, ...others] = request.pools ?? [];
  if (others.length > 0)
    throw new GodwitError('BadRequest', 'Invalid input for allocation_pools. Reason: a subnet has one allocation pool here.');
  // The gateway is never given out, so that a pool around it does no harm; one beside it reads better.
  const start =
    pool === undefined
      ? { version, value: gateway?.value === usable.first && !single ? usable.first + 1n : usable.first }
      : inside(pool.start, 'allocation pool start');
  const end =
    pool === undefined
      ? { version, value: gateway?.value === usable.last && !single ? usable.last - 1n : usable.last }
      : inside(pool.end, 'allocation pool end');
  if (start.value > end.value)
    throw new GodwitError('BadRequest', `The allocation pool ${formatAddress(start)}-${formatAddress(end)} is not valid.`);
  return {
    cidr: request.cidr,
    gateway: gateway === null ? null : formatAddress(gateway),
    poolStart: formatAddress(start),
    poolEnd: formatAddress(end),
  };
}
