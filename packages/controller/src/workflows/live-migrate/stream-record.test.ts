import { describe, expect, it } from 'vitest';
import { streamDecided, streamRecord } from './stream-record.ts';

const ready = (memoryStream: string, memoryStreamWhy = '') => ({ memoryStream, memoryStreamWhy });
const asAsked = { used: 'zstd', why: '' } as const;
const fallback = { used: 'single', why: 'node1 does not do zstd: its self-test has not shown it.' } as const;

describe('streamRecord', () => {
  it('as asked, there is nothing to explain; else whoever decided says why', () => {
    expect(streamRecord('zstd', asAsked, ready('zstd'))).toEqual({ asked: 'zstd', used: 'zstd', why: '' });
    expect(streamRecord('single', { used: 'single', why: '' }, ready('single'))).toEqual({ asked: 'single', used: 'single', why: '' });
    expect(streamRecord('zstd', fallback, ready('single'))).toEqual({ asked: 'zstd', used: 'single', why: fallback.why });
    expect(streamRecord('zstd', asAsked, ready('single', 'Its QEMU may not.')).why).toBe('Its QEMU may not.');
  });

  it('a destination that was told of another stream before keeps to it, and no other cause is invented', () => {
    expect(streamRecord('zstd', asAsked, ready('single')).why).toBe(
      'The destination had been prepared for one stream before, which is not done twice.',
    );
    expect(streamRecord('single', { used: 'single', why: '' }, ready('zstd'))).toEqual({
      asked: 'single',
      used: 'zstd',
      why: 'The destination had been prepared for zstd before, which is not done twice.',
    });
    // What was decided anew is not what is used.
    expect(streamRecord('zstd', fallback, ready('zstd'))).toEqual({ asked: 'zstd', used: 'zstd', why: '' });
  });

  it('an agent that says nothing of streams, or names one that nobody knows, takes one', () => {
    expect(streamRecord('zstd', asAsked, ready(''))).toEqual({
      asked: 'zstd',
      used: 'single',
      why: "The destination's agent knows of one stream only.",
    });
    expect(streamRecord('zstd', asAsked, ready('tenfold')).used).toBe('single');
  });
});

describe('streamDecided', () => {
  const move = { phase: 'preparing', epoch_to: null, memory_stream: null } as const;
  it('from the grant on, and no sooner: also not by that of an earlier attempt', () => {
    expect(streamDecided(move)).toBe(false);
    expect(streamDecided({ ...move, epoch_to: 3 })).toBe(true);
    expect(streamDecided({ ...move, phase: 'copying', epoch_to: 3 })).toBe(true);
    expect(streamDecided({ ...move, phase: 'scheduling', epoch_to: 3 })).toBe(false);
    expect(streamDecided({ ...move, epoch_to: 3, memory_stream: { asked: 'zstd', used: 'zstd', why: '' } })).toBe(true);
  });
});
