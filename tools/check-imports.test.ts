import { describe, expect, it } from 'vitest';
import { importViolations } from './check-imports.ts';

const declared = (packageName: string | null) =>
  new Set(packageName === null ? ['vitest', 'fast-check'] : packageName === 'controller' ? ['pg'] : []);
const check = (path: string, text: string) => importViolations([{ path, text }], declared);

describe('layers', () => {
  it.each([
    ['packages/domain/src/a.ts', "import { x } from './b.ts';"],
    [
      'packages/domain/src/a.test.ts',
      "import { readFileSync } from 'node:fs';\nimport { it } from 'vitest';\nimport fc from 'fast-check';",
    ],
    [
      'packages/contract/src/a.ts',
      "import type { HostId } from '@godwit/domain/ids';\nimport { Type } from 'typebox';\nimport { create } from '@bufbuild/protobuf';",
    ],
    [
      'packages/controller/src/api/a.ts',
      "import pg from 'pg';\nimport { x } from '../store/b.ts';\nimport '@godwit/contract/c';\nimport 'node:http';",
    ],
    ['packages/godwit/src/a.ts', "const load = () => import('@godwit/lab/cli');"],
    ['e2e/a.e2e.ts', "import { it } from 'vitest';\nimport '@godwit/lab/topology';"],
  ])('lets %s import what its layer may', (path, text) => {
    expect(check(path, text)).toEqual([]);
  });

  it.each([
    ['packages/domain/src/a.ts', "import { readFileSync } from 'node:fs';", /domain does not use Node/],
    ['packages/domain/src/a.ts', "import { Type } from 'typebox';", /no library/],
    ['packages/domain/src/a.ts', "export type { x } from '@godwit/contract/x';", /none of our packages/],
    ['packages/domain/src/a.test.ts', "import '@godwit/agent/x';", /none of our packages/],
    ['packages/contract/src/a.ts', "import 'fastify';", /contract may use/],
    ['packages/controller/src/a.ts', "import type { x } from '@godwit/agent/x';", /only domain, contract/],
    ['packages/controller/src/a.ts', "import 'fastify';", /controller may use pg/],
    ['packages/agent/src/a.ts', "const x = await import('@godwit/controller/x');", /only domain, contract/],
    ['packages/cli/src/a.ts', "import { x } from '../../agent/src/x.ts';", /stays in its package/],
    ['packages/lab/src/a.ts', "import '@godwit/godwit/main';", /only domain, contract/],
    ['packages/lab/src/a.ts', "import { x } from './x';", /ends in .ts/],
    ['packages/lab/src/a.ts', 'const x = await import(name);', /not a plain string/],
    ['packages/novelty/src/a.ts', "import './b.ts';", /not in the layer table/],
    ['bench/run.ts', "import { x } from '../packages/agent/src/x.ts';", /@godwit\/agent/],
    ['bench/run.ts', "import '@godwit/controller/x';", /only domain, contract, lab/],
    ['packages/agent/src/a.ts', 'const = 1;', /./],
  ])('refuses %s: %s', (path, text, reason) => {
    const found = check(path, text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(reason);
  });

  it('names the line', () => {
    expect(check('packages/domain/src/a.ts', "\n\nimport 'node:fs';")[0]).toMatch(/^packages\/domain\/src\/a\.ts:3 /);
  });
});

describe('custody', () => {
  const breaches: readonly (readonly [string, RegExp])[] = [
    ["await qmp.execute('cont');", /'cont'/],
    ["await qmp.execute('migrate', { uri });", /'migrate'/],
    ['await qmp.send({ execute: "system_reset" });', /'system_reset'/],
    ['await qmp.execute(`quit`);', /'quit'/],
    ["const command = 'cont' as const;", /'cont'/],
    ["process.kill(pid, 'SIGKILL');", /kills a process/],
    ['process.kill(pid);', /kills a process/],
    ["process.kill(guest.pid, 'SIGKILL');", /kills a process/],
    ["child['kill']();", /kills a process/],
    ['child?.kill();', /kills a process/],
    ["execFile('kill', ['-9', String(pid)]);", /'kill'/],
  ];

  it.each(breaches)('refuses %s in the agent outside custody', (text, reason) => {
    const found = check('packages/agent/src/migration/source.ts', text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(reason);
  });

  it.each(breaches)('allows %s inside custody, in tests and in other packages', (text) => {
    expect(check('packages/agent/src/custody/gate.ts', text)).toEqual([]);
    expect(check('packages/agent/src/qemu/a.real.test.ts', text)).toEqual([]);
    expect(check('packages/lab/src/supervisor.ts', text)).toEqual([]);
  });

  it.each([
    "await qmp.execute('migrate-incoming');",
    "await qmp.execute('query-migrate');",
    "type Command = 'cont' | 'quit';",
    "if (command === 'migrate') run();",
    "switch (command) { case 'cont': break; }",
    'process.kill(pid, 0);',
    "await feed({ kind: 'migrate', epoch });",
    "process.kill(process.pid, 'SIGKILL');",
    "import { x } from './migrate.ts';",
  ])('allows %s anywhere', (text) => {
    expect(check('packages/agent/src/migration/source.ts', text)).toEqual([]);
  });
});
