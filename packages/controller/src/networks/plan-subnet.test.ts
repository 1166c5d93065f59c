import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, parseCidr } from './ip-range.ts';
import { planSubnet } from './plan-subnet.ts';

describe('addresses', () => {
  it('survive the way there and back', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(formatAddress(parseAddress(text) ?? { version: 4, value: -1n })).toBe(text);
      }),
    );
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
        expect(parseAddress(formatAddress({ version: 6, value }))?.value).toBe(value);
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        expect(parseAddress(text)?.version).toBe(6);
      }),
    );
  });
  it('read every way of writing one', () => {
    for (const [text, value] of [
      ['::', 0n],
      ['::1', 1n],
      ['1::', 1n << 112n],
      ['::ffff:1.2.3.4', 0xffff01020304n],
      ['1:2::8', (1n << 112n) + (2n << 96n) + 8n],
    ] as const)
      expect(parseAddress(text)?.value).toBe(value);
    for (const text of ['', '1.2.3', 'fe80::1%eth0', '1.2.3.4/24', 'x']) expect(parseAddress(text)).toBeNull();
    for (const text of ['10.0.0.1/24', '10.0.0.0/33', '10.0.0.0', '::1/64', 'x/1']) expect(parseCidr(text)).toBeNull();
  });
});

describe('planSubnet', () => {
  it.each([
    [{ cidr: '10.0.0.0/24' }, { gateway: '10.0.0.1', poolStart: '10.0.0.2', poolEnd: '10.0.0.254' }],
    [
      { cidr: '10.0.0.0/24', gateway: null },
      { gateway: null, poolStart: '10.0.0.1', poolEnd: '10.0.0.254' },
    ],
    [
      { cidr: '10.0.0.0/24', gateway: '10.0.0.254' },
      { gateway: '10.0.0.254', poolStart: '10.0.0.1', poolEnd: '10.0.0.253' },
    ],
    [
      { cidr: '10.0.0.0/24', pools: [{ start: '10.0.0.100', end: '10.0.0.110' }] },
      { gateway: '10.0.0.1', poolStart: '10.0.0.100', poolEnd: '10.0.0.110' },
    ],
    [{ cidr: '10.0.0.0/31' }, { gateway: '10.0.0.0', poolStart: '10.0.0.1', poolEnd: '10.0.0.1' }],
    [{ cidr: '10.0.0.4/32' }, { gateway: null, poolStart: '10.0.0.4', poolEnd: '10.0.0.4' }],
    [
      { cidr: 'fd00::/64', ipVersion: 6 },
      { gateway: 'fd00:0:0:0:0:0:0:1', poolStart: 'fd00:0:0:0:0:0:0:2', poolEnd: 'fd00:0:0:0:ffff:ffff:ffff:ffff' },
    ],
  ])('%j', (request, plan) => expect(planSubnet(request)).toEqual({ cidr: request.cidr, ...plan }));
  it.each([
    [{ cidr: '10.0.0.1/24' }],
    [{ cidr: '10.0.0.0/24', ipVersion: 6 }],
    [{ cidr: '10.0.0.0/24', gateway: '10.0.1.1' }],
    [{ cidr: '10.0.0.0/24', gateway: '10.0.0.255' }],
    [{ cidr: '10.0.0.0/24', gateway: 'fd00::1' }],
    [{ cidr: '10.0.0.0/24', pools: [{ start: '10.0.0.9', end: '10.0.0.2' }] }],
    [{ cidr: '10.0.0.0/24', pools: [{ start: '10.0.0.0', end: '10.0.0.2' }] }],
    [
      {
        cidr: '10.0.0.0/24',
        pools: [
          { start: '10.0.0.2', end: '10.0.0.3' },
          { start: '10.0.0.5', end: '10.0.0.6' },
        ],
      },
    ],
  ])('refuses %j', (request) => expect(() => planSubnet(request)).toThrow(expect.objectContaining({ code: 'BadRequest' })));
});
