import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const script = fileURLToPath(new URL('backports-entry.sh', import.meta.url));
let apt: string;

beforeEach(async () => {
  apt = await mkdtemp(join(tmpdir(), 'godwit-apt-'));
  await mkdir(join(apt, 'sources.list.d'));
});
afterEach(() => rm(apt, { recursive: true, force: true }));

/** Writes files below the apt directory, derives the entry for bookworm and resolves to exit code and output. */
async function derive(files: Readonly<Record<string, string>>): Promise<{ readonly code: number; readonly out: string }> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(apt, path)), { recursive: true });
    await writeFile(join(apt, path), text);
  }
  return new Promise((resolve) => {
    execFile(script, [apt, 'bookworm'], (error, out) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out }));
  });
}

it('derives a deb822 entry: mirror, components and keyring stay, the suite changes', async () => {
  const sources = `Types: deb deb-src
# a mirror of ours
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`;
  expect(await derive({ 'sources.list.d/debian.sources': sources })).toEqual({
    code: 0,
    out: `godwit-backports.sources
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg
`,
  });
});

it('keeps a keyring that is written into the entry itself', async () => {
  const sources = `Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 deb bookworm
 -----END PGP PUBLIC KEY BLOCK-----
`;
  expect((await derive({ 'sources.list.d/a.sources': sources })).out).toBe(
    `godwit-backports.sources\n${sources.replace('Suites: bookworm', 'Suites: bookworm-backports')}`,
  );
});

it('finds the stanza when another file, without a last empty line, comes before it', async () => {
  const other = 'Types: deb\nURIs: http://other.example/apt\nSuites: stable\nComponents: main';
  const debian = 'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n';
  const { out } = await derive({ 'sources.list.d/a.sources': other, 'sources.list.d/b.sources': debian });
  expect(out).toBe(`godwit-backports.sources\n${debian.replace('bookworm', 'bookworm-backports')}`);
});

it.each([
  ['deb http://mirror.example/debian bookworm main contrib', 'deb http://mirror.example/debian bookworm-backports main contrib'],
  [
    'deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main',
    'deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm-backports main',
  ],
  [
    'deb [ trusted=yes ] http://mirror.example/debian bookworm main',
    'deb [ trusted=yes ] http://mirror.example/debian bookworm-backports main',
  ],
])('derives from the one-line form: %s', async (line, expected) => {
  const list = `# deb http://commented.example/debian bookworm main\ndeb-src http://mirror.example/debian bookworm main\n${line}\n`;
  expect(await derive({ 'sources.list': list })).toEqual({ code: 0, out: `godwit-backports.list\n${expected}\n` });
});

it.each([
  ['sources.list.d/x.sources', 'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-backports\nComponents: main\n'],
  ['sources.list', 'deb http://mirror.example/debian bookworm main\ndeb http://mirror.example/debian bookworm-backports main\n'],
])('leaves a machine alone that has backports in %s', async (path, text) => {
  expect(await derive({ [path]: text })).toEqual({ code: 3, out: '' });
});

it('does not count a disabled entry', async () => {
  const disabled = 'Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n';
  const enabled = 'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n';
  expect((await derive({ 'sources.list.d/a.sources': disabled, 'sources.list.d/b.sources': enabled })).code).toBe(0);
});

it('says when no entry names the release', async () => {
  expect(await derive({ 'sources.list': 'deb http://mirror.example/debian trixie main\n' })).toEqual({ code: 4, out: '' });
  expect((await derive({})).code).toBe(4);
});
