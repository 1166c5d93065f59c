import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';

const run = promisify(execFile);
const here = import.meta.dirname;
const links = { 'openrc.sh': 'openrc.sh', openrc: 'openrc.sh', 'openrc-demo.sh': 'openrc-demo.sh', 'openrc-demo': 'openrc-demo.sh' };

let checkout: string;
beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'gw-link-openrc-'));
  await mkdir(join(checkout, 'tools'));
  await copyFile(join(here, 'link-openrc.sh'), join(checkout, 'tools/link-openrc.sh'));
  await copyFile(join(here, '../.gitignore'), join(checkout, '.gitignore'));
  await lab('.godwit/lab', 'first');
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

async function lab(directory: string, text: string): Promise<void> {
  await mkdir(join(checkout, directory), { recursive: true });
  for (const name of ['openrc.sh', 'openrc-demo.sh']) await writeFile(join(checkout, directory, name), `${text} ${name}`);
}
const link = (...args: readonly string[]) => {
  const { GODWIT_LAB_DIR: _, ...env } = process.env;
  // From elsewhere: it is the checkout of the script that gets the links, not the working directory.
  return run('bash', [join(checkout, 'tools/link-openrc.sh'), ...args], { cwd: tmpdir(), env });
};
const read = (name: string) => readFile(join(checkout, name), 'utf8');

test('each name in the checkout leads to the lab’s file', async () => {
  await link();
  for (const [name, file] of Object.entries(links)) expect(await read(name)).toBe(`first ${file}`);
});

test('a link to an earlier lab, or to nothing, is replaced', async () => {
  await symlink('gone/openrc.sh', join(checkout, 'openrc.sh'));
  await link();
  await lab('other', 'second');
  await link(join(checkout, 'other'));
  for (const [name, file] of Object.entries(links)) expect(await read(name)).toBe(`second ${file}`);
});

test.each(Object.keys(links))('a real file %s is never overwritten, and nothing else is changed', async (name) => {
  await writeFile(join(checkout, name), 'my own');
  await expect(link()).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(`${name} is a file`) });
  expect(await read(name)).toBe('my own');
  for (const other of Object.keys(links).filter((one) => one !== name))
    await expect(readlink(join(checkout, other))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('without a lab it says so and links nothing', async () => {
  await rm(join(checkout, '.godwit'), { recursive: true });
  await expect(link()).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('is the lab up?') });
  await expect(readlink(join(checkout, 'openrc.sh'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('git sees none of them', async () => {
  await link();
  await run('git', ['init', '-q'], { cwd: checkout });
  const { stdout } = await run('git', ['status', '--short', '--untracked-files=all'], { cwd: checkout });
  expect(stdout.trim().split('\n').toSorted()).toEqual(['?? .gitignore', '?? tools/link-openrc.sh']);
});
