import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allowed, forbiddenTable, type MigrationFeature, migrationFeatures } from './forbidden.ts';
import { parseQemuVersion } from './qemu-version.ts';

const verdict = (features: readonly MigrationFeature[], versions: readonly string[], accelerator: 'tcg' | 'kvm' = 'tcg'): string => {
  const found = allowed(new Set(features), versions, accelerator);
  return found.allowed ? 'allowed' : found.row.id;
};
const plain = ['pre-copy', 'return-path', 'tls'] as const;

describe('forbidden combinations', () => {
  test('Debian 12’s own QEMU does not migrate under TCG, under KVM it does', () => {
    expect(verdict(plain, ['7.2.22', '7.2.22'], 'tcg')).toBe('tcg-stale-pages');
    expect(verdict(plain, ['8.2.99'], 'tcg')).toBe('tcg-stale-pages');
    expect(verdict(plain, ['9.0.0'], 'tcg')).toBe('allowed');
    expect(verdict(plain, ['7.2.22'], 'kvm')).toBe('allowed');
  });

  test('either side counts', () => {
    expect(verdict(plain, ['10.0.2', '7.2.0'])).toBe('tcg-stale-pages');
    expect(verdict(plain, ['7.2.0', '10.0.2'])).toBe('tcg-stale-pages');
  });

  test('several channels, but never with the pause that disks need', () => {
    expect(verdict([...plain, 'multifd', 'multifd-compression'], ['10.0.2'], 'tcg')).toBe('allowed');
    expect(verdict([...plain, 'multifd', 'pause-before-switchover'], ['10.0.2'], 'tcg')).toBe('multifd-paused');
  });

  test('post-copy never, and with multifd below 10.1 for two reasons', () => {
    expect(verdict([...plain, 'multifd', 'postcopy-ram'], ['10.0.2'], 'kvm')).toBe('multifd-postcopy');
    expect(verdict([...plain, 'multifd'], ['10.0.2'], 'kvm')).toBe('allowed');
    for (const version of ['7.2.0', '10.0.2', '10.1.0', '11.0.0'])
      for (const features of [['postcopy-ram'], ['postcopy-ram', 'postcopy-preempt']] as const)
        expect(verdict([...plain, ...features], [version], 'kvm')).toBe('postcopy-source-resumes');
  });

  test('no migration without an answer from the destination', () => {
    expect(verdict(['pre-copy'], ['10.0.2'])).toBe('no-return-path');
  });

  test('the old disk copy and compression never', () => {
    for (const version of ['7.2.0', '10.0.2', '11.0.0']) {
      expect(verdict([...plain, 'block'], [version], 'kvm')).toBe('block');
      expect(verdict([...plain, 'compress'], [version], 'kvm')).toBe('compress');
    }
  });

  test('every row can be hit, names its source, and says one sentence', () => {
    expect(new Set(forbiddenTable.map((row) => row.id)).size).toBe(forbiddenTable.length);
    for (const row of forbiddenTable) {
      expect(row.source).not.toBe('');
      const features = new Set<MigrationFeature>([...(row.without === 'return-path' ? [] : ['return-path' as const]), ...row.all]);
      const accelerator = row.accelerator ?? 'kvm';
      const version = row.below ? `${row.below[0] - 1}.9.0` : '12.0.0';
      const found = allowed(features, [version], accelerator);
      expect(found.allowed).toBe(false);
      if (!found.allowed) expect(found.sentence).toMatch(/^.* is forbidden with QEMU \d+\.\d+\.\d+ under (tcg|kvm): .+$/);
    }
  });

  test('using more never makes a forbidden set allowed, save for what a row asks for', () => {
    const asked = new Set(forbiddenTable.flatMap((row) => row.without ?? []));
    fc.assert(
      fc.property(
        fc.subarray([...migrationFeatures]),
        fc.constantFrom(...migrationFeatures.filter((one) => !asked.has(one))),
        fc.constantFrom('7.2.0', '9.0.0', '10.0.2', '10.1.0'),
        fc.constantFrom('tcg' as const, 'kvm' as const),
        (features, more, version, accelerator) => {
          if (verdict(features, [version], accelerator) !== 'allowed')
            expect(verdict([...features, more], [version], accelerator)).not.toBe('allowed');
        },
      ),
    );
  });

  test('an unreadable version is refused, not waved through', () => {
    expect(() => verdict(plain, ['unknown'])).toThrow(RangeError);
    expect(parseQemuVersion('10.0.2 (Debian 1:10.0.2+ds-2)')).toEqual([10, 0, 2]);
  });
});
