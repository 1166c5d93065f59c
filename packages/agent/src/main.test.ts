import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { main } from './main.ts';

let written: { out: string; err: string };
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gw-main-'));
  written = { out: '', err: '' };
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => (written.out += String(text)) !== '');
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => (written.err += String(text)) !== '');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(directory, { recursive: true, force: true });
});

test('says how it is called', async () => {
  expect(await main(['--help'])).toBe(0);
  expect(written).toEqual({ out: expect.stringMatching(/^usage: godwit agent --config FILE\n/), err: '' });
});

test.each([
  [[], 'godwit agent: --config FILE is needed\nusage: '],
  [['--frobnicate'], "godwit agent: Unknown option '--frobnicate'"],
  [['--config', '/nonexistent/agent.yaml'], 'godwit agent: the configuration /nonexistent/agent.yaml cannot be read: ENOENT'],
])('%j: exit code 2, and why', async (argv, sentence) => {
  expect(await main(argv)).toBe(2);
  expect(written.err).toContain(sentence);
  expect(written.out).toBe('');
});

test('a directory for its state that cannot be is one sentence', async () => {
  const file = join(directory, 'file');
  await writeFile(file, '');
  const config = join(directory, 'agent.yaml');
  const settings = { hostName: 'n1', stateDir: join(file, 'state'), driver: 'qemu', managementAddress: '127.0.0.1', rpcPort: 8781 };
  const more = {
    controllerUrl: 'https://127.0.0.1:1',
    joinTokenFile: file,
    bridge: { name: 'gwx0' },
    pools: [{ name: 'l', kind: 'local', path: '/x' }],
  };
  await writeFile(config, JSON.stringify({ ...settings, ...more }));
  expect(await main(['--config', config])).toBe(1);
  expect(written.err.split('\n')).toEqual([expect.stringMatching(/^godwit agent: .*file\/state/), '']);
  expect(await readdir(directory)).toEqual(['agent.yaml', 'file']);
});
