// npm leaves optional packages of other platforms out of package-lock.json when it could not fetch them at the time of writing, and
// `npm ci` then refuses the file. This adds them: they are never installed here, so a version and a platform are all that is needed.
// Run `node tools/complete-lockfile.ts` after every `npm install`; `make test` runs it with --check.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface LockEntry {
  readonly version?: string;
  readonly optional?: boolean;
  readonly dev?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type LockEntries = Readonly<Record<string, LockEntry>>;

const OS_NAMES = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const CPU_NAMES = ['arm', 'arm64', 'armv7', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];

/**
 * The lock file's entries with one added for every optional dependency that has none. Throws when such a package is not named after
 * a platform other than linux-x64 with glibc, since leaving that one out would not be harmless.
 */
export function completeEntries(packages: LockEntries): LockEntries {
  const added: Record<string, LockEntry> = {};
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (isResolved(packages, path, name)) continue;
      if (!/^\d/.test(version))
        throw new Error(`${path} wants ${name}@${version}, which is not in the lock file and is not one exact version`);
      added[`node_modules/${name}`] = { version, ...platformOf(name), ...(entry.dev === true ? { dev: true } : {}), optional: true };
    }
  }
  const all = { ...packages, ...added };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => a.localeCompare(b, 'en')));
}

function isResolved(packages: LockEntries, from: string, name: string): boolean {
  for (let directory = from; ; ) {
    if (packages[`${directory === '' ? '' : `${directory}/`}node_modules/${name}`] !== undefined) return true;
    if (directory === '') return false;
    const parent = directory.lastIndexOf('/node_modules/');
    directory = parent === -1 ? '' : directory.slice(0, parent);
  }
}

function platformOf(name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> {
  const words = name.slice(name.lastIndexOf('/') + 1).split('-');
  const os = OS_NAMES.find((candidate) => words.includes(candidate));
  const cpu = words.find((word) => CPU_NAMES.includes(word) || word.startsWith('arm'));
  if (os === undefined || cpu === undefined)
    throw new Error(`the optional package ${name} is not in the lock file, and its name tells no platform`);
  if (os === 'linux' && cpu === 'x64' && !words.includes('musl'))
    throw new Error(`the optional package ${name} is not in the lock file, and this platform needs it`);
  const libc = words.find((word) => word.startsWith('musl'));
  return { os: [os], cpu: [cpu.startsWith('arm') && cpu !== 'arm64' ? 'arm' : cpu], ...(libc === undefined ? {} : { libc: ['musl'] }) };
}

if (import.meta.main) {
  const path = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const before = readFileSync(path, 'utf8');
  const lock = JSON.parse(before) as { readonly packages: LockEntries };
  const after = `${JSON.stringify({ ...lock, packages: completeEntries(lock.packages) }, null, 2)}\n`;
  const missing = Object.keys(JSON.parse(after).packages).length - Object.keys(lock.packages).length;
  if (process.argv.includes('--check')) {
    if (missing > 0) {
      process.stderr.write(`package-lock.json leaves out ${missing} optional packages; run node tools/complete-lockfile.ts\n`);
      process.exitCode = 1;
    }
  } else if (missing > 0) {
    writeFileSync(path, after);
  }
}
