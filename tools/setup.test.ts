import { execFile, execFileSync } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

// The script runs on a made-up machine: a directory of commands that is its whole PATH, apt sources and os-release of its own, and an
// unprivileged user. apt-get, apt-cache, sudo and npm are recorders.

const NOBODY = '65534';
const BASICS = 'bash env readlink dirname uname sed awk grep head tail tr cut mkdir rm cat sleep tee chmod kill';
const checkout = fileURLToPath(new URL('..', import.meta.url));
let machine: string;

beforeEach(async () => {
  machine = await mkdtemp(join(tmpdir(), 'godwit-machine-'));
  await mkdir(join(machine, 'bin'));
  await mkdir(join(machine, 'checkout/tools'), { recursive: true });
  await mkdir(join(machine, 'apt/sources.list.d'), { recursive: true });
  await mkdir(join(machine, 'log'));
  for (const file of ['tools/setup.sh', 'tools/backports-entry.sh', 'package-lock.json'])
    await copyFile(join(checkout, file), join(machine, 'checkout', file));
  const paths = execFileSync('bash', ['-c', `type -P ${BASICS}`], { encoding: 'utf8' })
    .trim()
    .split('\n');
  for (const path of paths) await symlink(path, join(machine, 'bin', basename(path)));
  await writeFile(join(machine, 'os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
  await writeFile(join(machine, 'apt/sources.list'), 'deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main\n');
  await command(
    'apt-cache',
    `[[ $1 == policy ]] && printf 'qemu-system-x86:\\n  Installed: (none)\\n  Candidate: 1:7.2+dfsg-7\\n'; exit 0`,
  );
  await command('apt-get', `echo "apt-get $*" >>"$LOG/calls"; echo "E: no such machine" >&2; exit 100`);
  await command('npm', `echo "npm $*" >>"$LOG/calls"; exit 1`);
  // Everything below belongs to whoever runs the script, and only the log and the apt directory may be written.
  for (const directory of ['.', 'bin', 'checkout', 'checkout/tools']) await chmod(join(machine, directory), 0o755);
  for (const directory of ['log', 'apt/sources.list.d']) await chmod(join(machine, directory), 0o777);
});
afterEach(() => rm(machine, { recursive: true, force: true }));

async function command(name: string, body: string): Promise<void> {
  const path = join(machine, 'bin', name);
  await writeFile(path, `#!/usr/bin/env bash\nLOG=${join(machine, 'log')}\nBIN=${join(machine, 'bin')}\n${body}\n`);
  await chmod(path, 0o755);
}

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs setup as a user without privileges, also when the tests run as root. */
function setup(...args: readonly string[]): Promise<Outcome> {
  const environment = [
    `PATH=${join(machine, 'bin')}`,
    'GODWIT_SBIN=',
    `GODWIT_OS_RELEASE=${join(machine, 'os-release')}`,
    `GODWIT_APT_DIRECTORY=${join(machine, 'apt')}`,
    `GODWIT_CACHE=${join(machine, 'log/cache')}`,
    'GODWIT_HEARTBEAT=1',
  ];
  const script = ['env', '-i', ...environment, join(machine, 'bin/bash'), join(machine, 'checkout/tools/setup.sh'), ...args];
  const unprivileged =
    process.getuid?.() === 0 ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...script] : script;
  const [file = '', ...rest] = unprivileged;
  return new Promise((resolve) => {
    execFile(file, rest, (error, out, err) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }));
  });
}

const calls = async () => (await readFile(join(machine, 'log/calls'), 'utf8').catch(() => '')).trim().split('\n').filter(Boolean);

describe('as a normal user without sudo', () => {
  it('prints the exact commands, exits non-zero and changes nothing', async () => {
    const { code, err } = await setup();
    expect(code).toBe(1);
    expect(err).toContain(`run these as root, then make setup again:
tee ${machine}/apt/sources.list.d/godwit-backports.list <<'END'
deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm-backports main
END
apt-get update
apt-get install -y --no-install-recommends -t bookworm-backports qemu-system-x86 qemu-utils
apt-get install -y --no-install-recommends busybox-static cpio gcc libc6-dev python3-openstackclient chromium fonts-liberation iproute2 nftables tcpdump openssl make git
`);
    expect(await calls()).toEqual([]);
    expect(await readdir(join(machine, 'apt/sources.list.d'))).toEqual([]);
    expect(await readdir(join(machine, 'log'))).toEqual([]);
  });

  it('takes QEMU from the release itself where that is new enough', async () => {
    await command('apt-cache', `printf 'qemu-system-x86:\\n  Candidate: 1:10.0.2+ds-2\\n'`);
    const { err } = await setup();
    expect(err).toContain('apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils\n');
    expect(err).not.toContain('backports');
  });

  it('replaces a QEMU that is too old', async () => {
    await command('qemu-system-x86_64', `echo 'QEMU emulator version 7.2.15 (Debian 1:7.2)'`);
    await command('qemu-img', 'exit 0');
    expect((await setup()).err).toContain('-t bookworm-backports qemu-system-x86 qemu-utils\n');
    await command('qemu-system-x86_64', `echo 'QEMU emulator version 10.0.2 (Debian 1:10.0.2)'`);
    expect((await setup()).err).not.toContain('qemu');
  });

  it('says so when there is no apt source to derive the backports from', async () => {
    await writeFile(join(machine, 'apt/sources.list'), '');
    const { code, err } = await setup();
    expect(code).toBe(1);
    expect(err).toContain('no apt source');
  });
});

describe('as a normal user with sudo', () => {
  beforeEach(async () => {
    await command('sudo', `[[ $1 == -n ]] || exit 1; shift; "$@"`);
  });

  it('adds the source, updates, installs QEMU from backports and then the rest', async () => {
    await command(
      'apt-get',
      `echo "apt-get $*" >>"$LOG/calls"
[[ $* == *--assume-no* ]] && { echo 'Need to get 12.3 MB of archives.'; exit 1; }
exit 0`,
    );
    const { code, out, err } = await setup();
    const installs = (await calls()).filter((call) => !call.includes('--assume-no'));
    expect(installs).toEqual([
      expect.stringMatching(/^apt-get .*update$/),
      expect.stringMatching(/^apt-get install -y --no-install-recommends .*-t bookworm-backports qemu-system-x86 qemu-utils$/),
      expect.stringMatching(
        /^apt-get install -y --no-install-recommends .*busybox-static cpio gcc libc6-dev python3-openstackclient chromium/,
      ),
    ]);
    expect(await readFile(join(machine, 'apt/sources.list.d/godwit-backports.list'), 'utf8')).toBe(
      'deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm-backports main\n',
    );
    expect(out).toContain('setup: QEMU from bookworm-backports (12.3 MB to fetch, 20 to 120 s)');
    // This apt-get installed nothing, and that is noticed.
    expect(code).toBe(1);
    expect(err).toContain('apt-get succeeded, and still the above is missing');
  });

  it('is never silent for ten seconds: a step that takes long says how far it is', async () => {
    await command('apt-get', `for i in 1 2 3; do echo "Get:$i"; sleep 1.1; done; exit 100`);
    const { out } = await setup();
    // The first line before it begins, then one per heartbeat with the last word of the log, which may have none yet at the first.
    expect(out).toContain('setup: apt package lists (10 to 60 MB, 5 to 60 s)\nsetup:   … apt package lists, ');
    const words = [...out.matchAll(/^setup: {3}… apt package lists, \d+ s: (.*)$/gm)].map(([, word]) => word);
    expect(words.length).toBeGreaterThan(1);
    expect(words.at(-1)).toMatch(/^Get:\d$/);
    const [, heartbeat] =
      /HEARTBEAT_SECONDS=\$\{GODWIT_HEARTBEAT:-(\d+)\}/.exec(await readFile(join(checkout, 'tools/setup.sh'), 'utf8')) ?? [];
    expect(Number(heartbeat)).toBeLessThan(10);
  });

  it('shows the end of the log of a step that fails', async () => {
    const { code, err } = await setup();
    expect(code).toBe(1);
    expect(err).toContain('E: no such machine');
    expect(err).toContain('apt package lists failed with exit code 100; the whole log is ');
  });
});

describe('on another distribution', () => {
  it('lists everything that is missing with its purpose and runs nothing', async () => {
    await writeFile(join(machine, 'os-release'), 'ID=fedora\nVERSION_ID=42\n');
    await command('tcpdump', 'exit 0');
    const { code, err } = await setup();
    expect(code).toBe(1);
    expect(err).toContain('this is fedora');
    expect(err).toMatch(/ {2}qemu-system-x86 +QEMU 10 or newer: runs and moves the guests\n/);
    expect(err).toMatch(/ {2}nftables +security groups\n/);
    expect(err).toMatch(/kernel +a guest kernel with virtio/);
    expect(err).not.toContain('tcpdump');
    expect(await calls()).toEqual([]);
  });
});

describe('--check', () => {
  it('lists what is missing, exits 1 and changes nothing', async () => {
    const { code, out } = await setup('--check');
    expect(code).toBe(1);
    expect(out).toMatch(/^missing: Node 24 or newer: runs Godwit$/m);
    expect(out).toMatch(/^missing: node_modules as in package-lock.json/m);
    expect(out).toMatch(/^missing: qemu-utils +qemu-img: guest disks$/m);
    expect(await calls()).toEqual([]);
    expect(await readdir(join(machine, 'log'))).toEqual([]);
  });
});

it('finds out what is missing in less than two seconds of a processor', () => {
  // In the real checkout; its answer may differ, the time that it takes does not.
  const script = 'exec 2>&1; TIMEFORMAT="%U %S"; time tools/setup.sh --check >/dev/null 2>&1 || true';
  const [user = Number.NaN, system = Number.NaN] = execFileSync('bash', ['-c', script], { cwd: checkout, encoding: 'utf8' })
    .trim()
    .split(' ')
    .map(Number);
  expect(user + system).toBeGreaterThan(0);
  expect(user + system).toBeLessThan(2);
});

it('refuses an option that it does not know', async () => {
  expect(await setup('--chekc')).toMatchObject({ code: 2, err: 'usage: tools/setup.sh [--check | --peer]\n' });
});

it('asks for libvirt only where it is to be measured', async () => {
  expect((await setup()).err).not.toContain('libvirt');
  expect((await setup('--peer')).err).toMatch(/make git libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients\n/);
});
