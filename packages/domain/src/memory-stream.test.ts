import { describe, expect, it } from 'vitest';
import { chooseStream, lacks, memoryStreams, oneStreamBesideDisks, type StreamEnd, type WantedStream } from './memory-stream.ts';

const test = (feature: string, works = true, detail = '') => ({ feature, works, detail, durationMs: 1 });
const end = (host: string, selfTest: StreamEnd['facts']['selfTest']): StreamEnd => ({ host, facts: { qemuVersion: '10.0.2', selfTest } });
const all = [test('tls'), test('multifd stream'), test('zstd stream')];
const wanted = (changes: Partial<WantedStream> = {}): WantedStream => ({
  asked: 'zstd',
  copiesDisks: false,
  source: end('node1', all),
  destination: end('node2', all),
  guestQemuVersion: '10.0.2',
  ...changes,
});

describe('chooseStream', () => {
  it('takes what was asked for when both hosts have proven it', () => {
    for (const asked of memoryStreams) expect(chooseStream(wanted({ asked }))).toEqual({ used: asked, why: '' });
    expect(chooseStream(wanted({ guestQemuVersion: null }))).toEqual({ used: 'zstd', why: '' });
  });

  it('falls back to one stream, and says which host lacks what', () => {
    const half = [test('multifd stream'), test('zstd stream', false, 'this QEMU was built without zstd')];
    expect(chooseStream(wanted({ destination: end('node2', half) }))).toEqual({
      used: 'single',
      why: 'node2 does not do zstd: its self-test says: this QEMU was built without zstd',
    });
    expect(chooseStream(wanted({ asked: 'multifd', destination: end('node2', half) })).used).toBe('multifd');
    expect(chooseStream(wanted({ source: end('node1', []) })).why).toBe('node1 does not do zstd: its self-test has not shown it.');
    expect(chooseStream(wanted({ source: end('node1', [test('tls')]) })).why).toBe(
      'node1 does not do zstd: its self-test has not shown it.',
    );
  });

  it('sends one stream beside disks, and for a guest whose QEMU the host has not tested', () => {
    expect(chooseStream(wanted({ copiesDisks: true }))).toEqual({ used: 'single', why: oneStreamBesideDisks });
    expect(chooseStream(wanted({ guestQemuVersion: '10.0.1' })).why).toContain('QEMU 10.0.1');
    // What the host lacks altogether is no matter of the guest's QEMU.
    expect(chooseStream(wanted({ guestQemuVersion: '10.0.1', source: end('node1', []) })).why).toBe(
      'node1 does not do zstd: its self-test has not shown it.',
    );
    // Where one stream was asked for there is nothing to explain.
    expect(chooseStream(wanted({ asked: 'single', copiesDisks: true, source: end('node1', []) }))).toEqual({ used: 'single', why: '' });
  });
});

it('lacks: one stream needs no proof', () => {
  expect(lacks('single', [])).toBeNull();
});
