import { expect, test } from 'vitest';
import { type DemoMove, demoProblems } from './demo-report.ts';
import { renderClosing, renderMoves } from './render-demo.ts';

const move: DemoMove = {
  id: 'm',
  source: 'node1',
  destination: 'node2',
  status: 'completed',
  reason: null,
  blackoutMs: 41.3,
  clockErrorMs: 0.21,
  qemuDowntimeMs: 6,
  ownShareMs: 1.2,
  clientGapMs: 44.4,
  tcpMaxStallMs: 61,
  tcpReset: false,
  acceptToCompletedMs: 480,
  qemuTotalMs: 300,
  ramBytes: 96 * 2 ** 20,
  diskBytes: 0,
  rounds: 3,
};

test('a demo is a success only when every wanted move completed and no connection was lost', () => {
  expect(demoProblems([move, move], 2)).toEqual([]);
  expect(demoProblems([move], 2)).toEqual(['1 of 2 migrations were made']);
  expect(demoProblems([{ ...move, status: 'failed', reason: 'Because.' }], 1)).toEqual(['node1 → node2 ended failed: Because.']);
  expect(demoProblems([{ ...move, tcpReset: true }], 1)).toEqual(['node1 → node2 cost a TCP connection']);
});

test('the table aligns, and a dash stands for what was not measured', () => {
  const [head = '', first = '', second = ''] = renderMoves([move, { ...move, blackoutMs: null, rounds: null }]).split('\n');
  expect(first.indexOf('41 ±0.2')).toBe(head.indexOf('BLACKOUT'));
  expect(second.charAt(head.indexOf('BLACKOUT'))).toBe('-');
  expect(second.charAt(head.indexOf('ROUNDS'))).toBe('-');
});

test('the closing names everything a person needs to go on', () => {
  const text = renderClosing({
    url: 'http://127.0.0.1:8774',
    admin: { authUrl: '', userName: 'admin', password: 'secret', projectName: 'admin', domainName: 'Default' },
    openrc: 'openrc.sh',
    guests: [{ name: 'demo-1', id: 'some-id', host: 'node1' }],
    otherHost: 'node2',
    downCommand: 'bin/godwit lab down',
  });
  for (const part of [
    'http://127.0.0.1:8774',
    'admin',
    'secret',
    'source openrc.sh',
    'migrate --live-migration some-id',
    '--host node2 some-id',
    'migration list --server some-id',
    'bin/godwit lab down',
  ]) {
    expect(text).toContain(part);
  }
});
