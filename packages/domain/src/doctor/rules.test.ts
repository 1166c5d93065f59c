import { describe, expect, it } from 'vitest';
import { hasProblems, reportText } from './report.ts';
import { certificateFinding, clockFinding, roomFinding, standbyFindings, versionsFinding } from './rules.ts';

const day = 86_400_000;

describe('the rules of the doctor', () => {
  it.each([
    [clockFinding('node1', 20, 5), 'ok'],
    [clockFinding('node1', -700, 5), 'warning'],
    [clockFinding('node1', 700, 300), 'ok'],
    [clockFinding('node1', 60_000, 5), 'problem'],
    [versionsFinding('QEMU', new Map([['10.0.2', ['node1', 'node2']]])), 'ok'],
    [
      versionsFinding(
        'QEMU',
        new Map([
          ['10.0.2', ['node2']],
          ['10.1.0', ['node1']],
        ]),
      ),
      'warning',
    ],
    [roomFinding('node1', 'The pool local', 50, 100), 'ok'],
    [roomFinding('node1', 'The pool local', 9, 100), 'warning'],
    [roomFinding('node1', 'The pool local', 1, 100), 'problem'],
    [roomFinding('node1', 'The pool local', 0, 0), 'problem'],
    [certificateFinding('', 'The certificate', 40 * day, 0, 30, 'renew'), 'ok'],
    [certificateFinding('', 'The certificate', 20 * day, 0, 30, 'renew'), 'warning'],
    [certificateFinding('', 'The certificate', day, 2 * day, 30, 'renew'), 'problem'],
  ] as const)('%o is %s', (finding, level) => {
    expect(finding.level).toBe(level);
    // What is not well names a remedy; what is well needs none.
    expect(finding.remedy === '').toBe(level === 'ok');
  });

  it.each([
    [{ names: '', commit: 'on', standbys: 0 }, []],
    [{ names: '', commit: 'on', standbys: 1 }, ['warning']],
    [{ names: 'one', commit: 'local', standbys: 1 }, ['warning']],
    [{ names: 'one', commit: 'on', standbys: 0 }, ['warning']],
    [{ names: 'one', commit: 'remote_apply', standbys: 1 }, ['ok']],
  ])('what a failover of the database would lose: %o', (database, levels) => {
    expect(standbyFindings(database).map(({ level }) => level)).toEqual(levels);
  });

  it('says which host is behind, and by how much', () => {
    expect(clockFinding('node1', -700, 5).sentence).toContain("node1 is 700 ms behind the controller's (± 5 ms)");
    expect(
      versionsFinding(
        'QEMU',
        new Map([
          ['10.0.2', ['node2', 'node1']],
          ['10.1.0', ['node3']],
        ]),
      ).sentence,
    ).toBe('QEMU versions are mixed: 10.0.2 on node1, node2; 10.1.0 on node3.');
  });
});

describe('the report', () => {
  it('shows the worst first, remedies below, and counts', () => {
    const findings = [clockFinding('node1', 0, 1), roomFinding('node1', 'The pool local', 1, 2 ** 40), clockFinding('node2', 900, 1)];
    expect(hasProblems(findings)).toBe(true);
    expect(hasProblems(findings.slice(2))).toBe(false);
    expect(reportText(findings)).toBe(
      [
        'PROBLEM  room: The pool local has 0.0 GiB of 1024.0 GiB free (0 %).',
        '         → Move instances with local disks away, delete what is not needed, or give it more room.',
        "warning  clock: The clock of node2 is 900 ms ahead of the controller's (± 1 ms). Times in its logs and timelines cannot be compared.",
        '         → Set node2 and the controller by the same time service: apt install chrony, then chronyc tracking.',
        "ok       clock: The clock of node1 is 0 ms ahead of the controller's (± 1 ms).",
        '1 problem, 1 warning, 1 ok',
        '',
      ].join('\n'),
    );
  });

  it('tells in one line what is well on many hosts, and every finding of a few', () => {
    const hosts = Array.from({ length: 1_000 }, (_, index) => `node${index}`);
    const good = hosts.flatMap((name) => [clockFinding(name, 0, 1), roomFinding(name, 'The pool', 50, 100)]);
    expect(reportText(good).split('\n')).toEqual([
      'ok       clock: nothing wrong on 1000 hosts: node0, node1, node2, node3 and 996 more.',
      'ok       room: nothing wrong on 1000 hosts: node0, node1, node2, node3 and 996 more.',
      '0 problems, 0 warnings, 2000 ok',
      '',
    ]);
    const few = good.slice(0, 6);
    expect(reportText(few).match(/^ok/gm)).toHaveLength(6);
    // A bad one among them is never folded away.
    expect(reportText([...good, clockFinding('late', 900, 1)])).toContain('warning  clock: The clock of late is 900 ms ahead');
    expect(versionsFinding('agent', new Map([['1', hosts]])).sentence).toMatch(/^agent: 1 on node0, .* and 988 more\.$/);
  });
});
