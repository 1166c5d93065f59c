import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { Command } from './commands.ts';
import { dispatch } from './dispatch.ts';

const run = promisify(execFile);
const launcher = fileURLToPath(new URL('../../../bin/godwit', import.meta.url));
const loaded: string[] = [];

const table: ReadonlyMap<string, Command> = new Map([
  ['seven', { summary: 'returns seven', load: async () => recording('seven', 7) }],
  ['zero', { summary: 'returns zero', load: async () => recording('zero', 0) }],
]);

const client: Command = { summary: 'the client', load: async () => recording('client', 3) };

function recording(name: string, code: number) {
  loaded.push(name);
  return {
    main: async (argv: readonly string[]) => {
      loaded.push(`${name}(${argv.join(' ')})`);
      return code;
    },
  };
}

async function runWith(argv: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await dispatch(argv, table, '1.2.3', { out: (text) => out.push(text), err: (text) => err.push(text) }, client);
  return { code, out: out.join(''), err: err.join('') };
}

afterEach(() => {
  loaded.length = 0;
});

describe('dispatch', () => {
  it('loads only the named command and hands it the rest', async () => {
    expect(await runWith(['seven', 'up', '--dir', 'x'])).toEqual({ code: 7, out: '', err: '' });
    expect(loaded).toEqual(['seven', 'seven(up --dir x)']);
  });

  it('answers an unknown command with one sentence, exit code 2, and loads nothing', async () => {
    const result = await runWith(['eight']);
    expect(result).toEqual({ code: 2, out: '', err: "godwit: there is no command 'eight'; the commands are seven, zero\n" });
    expect(loaded).toEqual([]);
  });

  it('treats no command as a usage error and --help as a success', async () => {
    const bare = await runWith([]);
    const help = await runWith(['--help']);
    expect(bare.code).toBe(2);
    expect(help.code).toBe(0);
    expect(bare.err).toBe(help.out);
    expect(help.out).toContain('returns seven');
  });

  it('hands a line that begins with an option of the cloud to the client, whole', async () => {
    expect((await runWith(['--os-cloud', 'lab', 'server', 'list'])).code).toBe(3);
    expect(loaded).toEqual(['client', 'client(--os-cloud lab server list)']);
  });

  it('prints the version', async () => {
    expect((await runWith(['--version'])).out).toBe('godwit 1.2.3\n');
  });
});

describe('bin/godwit', () => {
  it('finds its checkout through a chain of symlinks', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'godwit-launcher-'));
    try {
      await symlink(launcher, join(directory, 'first'));
      await symlink('first', join(directory, 'godwit'));
      const { stdout } = await run(join(directory, 'godwit'), ['--version'], { cwd: directory });
      expect(stdout).toMatch(/^godwit \d+\.\d+\.\d+\n$/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('exits with the code of dispatch', async () => {
    await expect(run(launcher, ['no-such-command'])).rejects.toMatchObject({ code: 2 });
  });
});
