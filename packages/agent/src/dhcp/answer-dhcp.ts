import type { AddressLease } from '@godwit/domain/network-policy';
import { addressAt, addressBytes, type DhcpMessage, dhcpOption, dhcpType } from './dhcp-message.ts';

/** A guest asks again after half of it. Its address is its port's, so that nothing but a change of that is waited for. */
const leaseSeconds = 86_400;
/** Who answers where the subnet has no gateway; clients that cannot reach it ask everybody, and are heard all the same. */
const serverWithoutGateway = '169.254.169.254';
const anywhere = '0.0.0.0';

export const serverOf = (lease: AddressLease): string => lease.gateway ?? serverWithoutGateway;

/**
 * What a guest is answered whose port has this lease, or null for nothing. The same on every host: a guest that was moved renews what it has. Pure.
 */
export function answerDhcp(asked: DhcpMessage, lease: AddressLease): DhcpMessage | null {
  if (asked.op !== 'request') return null;
  const type = asked.options.get(dhcpOption.messageType)?.[0];
  const addressOption = (code: number): string | null => {
    const value = asked.options.get(code);
    return value?.length === 4 ? addressAt(value, 0) : null;
  };
  const reply = (answer: number, yourAddress: string, options: readonly (readonly [number, Buffer])[]): DhcpMessage => ({
    ...asked,
    op: 'reply',
    seconds: 0,
    clientAddress: answer === dhcpType.nak ? anywhere : asked.clientAddress,
    yourAddress,
    options: new Map([[dhcpOption.messageType, Buffer.from([answer])], [dhcpOption.serverId, addressBytes(serverOf(lease))], ...options]),
  });
  switch (type) {
    case dhcpType.discover:
      return reply(dhcpType.offer, lease.address, [leaseTime, ...settings(lease)]);
    case dhcpType.request: {
      // One that has chosen another server's offer has not chosen ours.
      if (![null, serverOf(lease)].includes(addressOption(dhcpOption.serverId))) return null;
      const wanted = addressOption(dhcpOption.requestedAddress) ?? asked.clientAddress;
      return wanted === lease.address
        ? reply(dhcpType.ack, lease.address, [leaseTime, ...settings(lease)])
        : reply(dhcpType.nak, anywhere, []);
    }
    case dhcpType.inform:
      return reply(dhcpType.ack, anywhere, settings(lease));
    default:
      // Declined or released: the address is the port's all the same.
      return null;
  }
}

const leaseTime = [dhcpOption.leaseSeconds, uint32(leaseSeconds)] as const;

function settings(lease: AddressLease): readonly (readonly [number, Buffer])[] {
  const mask = lease.prefixLength === 0 ? 0 : (0xff_ff_ff_ff << (32 - lease.prefixLength)) >>> 0;
  const nameservers = lease.nameservers.filter((address) => !address.includes(':')).slice(0, 8);
  const broadcast = (addressBytes(lease.address).readUInt32BE(0) | ~mask) >>> 0;
  return [
    [dhcpOption.subnetMask, uint32(mask)],
    [dhcpOption.broadcastAddress, uint32(broadcast)],
    ...(lease.gateway === null ? [] : [[dhcpOption.router, addressBytes(lease.gateway)] as const]),
    ...(nameservers.length === 0 ? [] : [[dhcpOption.nameservers, Buffer.concat(nameservers.map(addressBytes))] as const]),
    [dhcpOption.mtu, Buffer.from([lease.mtu >> 8, lease.mtu & 0xff])],
    ...(/^[A-Za-z0-9-]{1,63}$/.test(lease.hostname) ? [[dhcpOption.hostname, Buffer.from(lease.hostname)] as const] : []),
  ];
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
