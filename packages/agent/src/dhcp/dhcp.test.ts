import type { AddressLease } from '@godwit/domain/network-policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerDhcp } from './answer-dhcp.ts';
import { addressAt, addressBytes, type DhcpMessage, dhcpOption, dhcpType, readDhcp, writeDhcp } from './dhcp-message.ts';
import { readUdpFrame, writeUdpFrame } from './udp-frame.ts';

const lease: AddressLease = {
  address: '10.1.0.7',
  prefixLength: 24,
  gateway: '10.1.0.1',
  nameservers: ['9.9.9.9', 'fd00::1'],
  mtu: 1450,
  hostname: 'web',
};
const message = (type: number, over: Partial<DhcpMessage> = {}, options: readonly (readonly [number, Buffer])[] = []): DhcpMessage => ({
  op: 'request',
  transactionId: 7,
  seconds: 0,
  broadcast: true,
  clientAddress: '0.0.0.0',
  yourAddress: '0.0.0.0',
  mac: 'fa:16:3e:00:00:01',
  ...over,
  options: new Map([[dhcpOption.messageType, Buffer.from([type])], ...options]),
});
const typeOf = (answer: DhcpMessage | null): number | null => answer?.options.get(dhcpOption.messageType)?.[0] ?? null;

describe('the codec', () => {
  const mac = fc
    .uint8Array({ minLength: 6, maxLength: 6 })
    .map((bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
  it('reads what it wrote', () => {
    const messages = fc.record({
      op: fc.constantFrom('request' as const, 'reply' as const),
      transactionId: fc.nat(0xff_ff_ff_ff),
      seconds: fc.nat(0xff_ff),
      broadcast: fc.boolean(),
      clientAddress: fc.ipV4(),
      yourAddress: fc.ipV4(),
      mac,
      options: fc
        .uniqueArray(
          fc.tuple(
            fc.integer({ min: 1, max: 254 }),
            fc.uint8Array({ maxLength: 255 }).map((bytes) => Buffer.from(bytes)),
          ),
          { selector: ([code]) => code, maxLength: 8 },
        )
        .map((options) => new Map(options)),
    });
    fc.assert(
      fc.property(messages, (one) => {
        expect(readDhcp(writeDhcp(one))).toEqual(one);
      }),
    );
  });
  it('never throws on what a guest may send, whole, cut or changed', () => {
    const good = writeUdpFrame({
      sourceMac: 'fa:16:3e:00:00:01',
      destinationMac: 'ff:ff:ff:ff:ff:ff',
      source: '0.0.0.0',
      destination: '255.255.255.255',
      sourcePort: 68,
      destinationPort: 67,
      payload: writeDhcp(message(dhcpType.discover)),
    });
    const read = (bytes: Buffer): void => {
      const frame = readUdpFrame(bytes);
      const asked = frame && readDhcp(frame.payload);
      if (asked) answerDhcp(asked, lease);
    };
    expect(readDhcp(readUdpFrame(good)?.payload ?? Buffer.alloc(0))?.mac).toBe('fa:16:3e:00:00:01');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => read(Buffer.from(bytes))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
        const changed = Buffer.from(good);
        changed[at] = value;
        read(changed.subarray(0, length));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a guest', () => {
  it('is offered and given its port’s address with what it needs to use it', () => {
    const offer = answerDhcp(message(dhcpType.discover), lease);
    expect([typeOf(offer), offer?.yourAddress, offer?.transactionId]).toEqual([dhcpType.offer, '10.1.0.7', 7]);
    const ack = answerDhcp(
      message(dhcpType.request, {}, [
        [dhcpOption.requestedAddress, addressBytes('10.1.0.7')],
        [dhcpOption.serverId, addressBytes('10.1.0.1')],
      ]),
      lease,
    );
    const said = (code: number): string => addressAt(ack?.options.get(code) ?? Buffer.alloc(0), 0);
    expect([typeOf(ack), ack?.yourAddress]).toEqual([dhcpType.ack, '10.1.0.7']);
    expect([said(dhcpOption.subnetMask), said(dhcpOption.router), said(dhcpOption.nameservers), said(dhcpOption.broadcastAddress)]).toEqual(
      ['255.255.255.0', '10.1.0.1', '9.9.9.9', '10.1.0.255'],
    );
    expect(ack?.options.get(dhcpOption.nameservers)?.length).toBe(4);
    expect(ack?.options.get(dhcpOption.mtu)?.readUInt16BE(0)).toBe(1450);
  });
  it('renews what it has, is refused what it has no more, and is left alone by what is not for us', () => {
    expect(typeOf(answerDhcp(message(dhcpType.request, { clientAddress: '10.1.0.7' }), lease))).toBe(dhcpType.ack);
    expect(typeOf(answerDhcp(message(dhcpType.request, { clientAddress: '10.1.0.8' }), lease))).toBe(dhcpType.nak);
    expect(typeOf(answerDhcp(message(dhcpType.request, {}, [[dhcpOption.requestedAddress, addressBytes('10.9.0.1')]]), lease))).toBe(
      dhcpType.nak,
    );
    expect(answerDhcp(message(dhcpType.request, {}, [[dhcpOption.serverId, addressBytes('10.1.0.99')]]), lease)).toBeNull();
    const inform = answerDhcp(message(dhcpType.inform, { clientAddress: '10.1.0.7' }), lease);
    expect([typeOf(inform), inform?.yourAddress, inform?.options.has(dhcpOption.leaseSeconds)]).toEqual([dhcpType.ack, '0.0.0.0', false]);
    for (const type of [dhcpType.decline, dhcpType.release, 0, 99]) expect(answerDhcp(message(type), lease)).toBeNull();
    expect(answerDhcp({ ...message(dhcpType.discover), op: 'reply' }, lease)).toBeNull();
  });
  it('of a subnet without a gateway is told of no router', () => {
    const offer = answerDhcp(message(dhcpType.discover), { ...lease, gateway: null, nameservers: [] });
    expect([
      offer?.options.has(dhcpOption.router),
      offer?.options.has(dhcpOption.nameservers),
      offer?.options.has(dhcpOption.serverId),
    ]).toEqual([false, false, true]);
  });
});
