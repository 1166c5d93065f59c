import type { StoredRejection } from '@godwit/domain/scheduling/stored-verdicts';
import { expect, it } from 'vitest';
import { rejectionsByHost } from './rejections-by-host.ts';

const rejection = (code: StoredRejection['code'], hosts: readonly string[], sentence: string): StoredRejection => ({
  filter: 'ram',
  code,
  count: hosts.length,
  examples: [{ hosts, sentence, smallestChange: null, data: {} as never }],
});

it('tells each host its own reasons, and bare metal only that', () => {
  const found = rejectionsByHost([
    rejection('NotRequestedHost', ['node10', 'node2', 'metal1'], 'another was asked for'),
    rejection('InsufficientRam', ['node2', 'metal1'], 'too small'),
    rejection('BareMetalTarget', ['metal1'], 'bare metal'),
  ]);
  expect(found.map(({ host, reasons }) => [host, reasons.map((reason) => reason.sentence)])).toEqual([
    ['metal1', ['bare metal']],
    ['node2', ['too small']],
    ['node10', ['another was asked for']],
  ]);
});
