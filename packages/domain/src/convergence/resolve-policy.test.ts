import { describe, expect, it } from 'vitest';
import { defaultPolicy, policyFieldNames, policyFields, postCopyRefusal } from './policy.ts';
import { flavorPolicy, parsePolicy, resolvePolicy } from './resolve-policy.ts';

describe('resolvePolicy', () => {
  it('takes each field from the nearest that sets it, and says from where', () => {
    const policy = resolvePolicy({
      request: { largestBlackoutMs: 100, memoryStream: 'zstd' },
      flavor: { largestBlackoutMs: 200, slowDownPercent: 40 },
      project: { slowDownPercent: 10, deadlineMs: 60_000 },
      default: { deadlineMs: 90_000, whenNotConverging: 'pause' },
    });
    expect(policy).toEqual({
      largestBlackoutMs: 100,
      slowDownPercent: 40,
      deadlineMs: 60_000,
      whenNotConverging: 'pause',
      postCopyAllowed: false,
      memoryStream: 'zstd',
      from: {
        largestBlackoutMs: 'request',
        slowDownPercent: 'flavor',
        deadlineMs: 'project',
        whenNotConverging: 'default',
        postCopyAllowed: 'built-in',
        memoryStream: 'request',
      },
    });
  });
});

describe('parsePolicy', () => {
  it('accepts every default, and refuses what is no field or no value', () => {
    expect(parsePolicy(defaultPolicy)).toEqual({ policy: defaultPolicy, problems: [] });
    expect(
      parsePolicy({
        largestBlackoutMs: 49,
        deadlineMs: '5000',
        slowDownPercent: 100,
        postCopyAllowed: 'true',
        memoryStream: 'gzip',
        patience: 1,
      }).problems.map(({ field }) => field),
    ).toEqual(['largestBlackoutMs', 'deadlineMs', 'slowDownPercent', 'postCopyAllowed', 'memoryStream', 'patience']);
  });

  it('refuses whoever asks for post-copy, and says why', () => {
    const problem = { field: 'postCopyAllowed', code: 'PostCopyUnsafe', sentence: postCopyRefusal.sentence };
    expect(parsePolicy({ postCopyAllowed: true, deadlineMs: 5_000 })).toEqual({ policy: { deadlineMs: 5_000 }, problems: [problem] });
    expect(flavorPolicy({ 'godwit:post_copy_allowed': 'true' })).toEqual({
      policy: {},
      problems: [{ ...problem, field: 'godwit:post_copy_allowed' }],
    });
    expect(flavorPolicy({ 'godwit:post_copy_allowed': 'false' })).toEqual({ policy: { postCopyAllowed: false }, problems: [] });
  });
});

describe('flavorPolicy', () => {
  it('reads texts, and names the extra spec that is none', () => {
    expect(
      flavorPolicy({
        'godwit:largest_blackout_ms': '120',
        'godwit:post_copy_allowed': 'false',
        'godwit:storage': 'local',
        'godwit:memory_stream': 'multifd',
        'godwit:slow_down_percent': '1e1',
      }),
    ).toEqual({
      policy: { largestBlackoutMs: 120, postCopyAllowed: false, memoryStream: 'multifd' },
      problems: [
        {
          field: 'godwit:slow_down_percent',
          code: 'NoValue',
          sentence: 'Extra spec "godwit:slow_down_percent" must be a whole number from 0 to 99.',
        },
      ],
    });
  });

  it('knows a spelling for each field', () => {
    expect(new Set(policyFieldNames.map((field) => policyFields[field].extraSpec)).size).toBe(policyFieldNames.length);
  });
});
