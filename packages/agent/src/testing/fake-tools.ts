import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type FakeTools = {
  /** Where they are; what is written there goes with them. */
  readonly dir: string;
  /** Shell scripts by the tools' names; null: this host has no such tool. */
  write(scripts: Readonly<Record<string, string | null>>): Promise<void>;
  close(): Promise<void>;
};

/** Tools in the place of this process's PATH, beside which nothing but a shell's own is found; `close` puts it back. */
export async function fakeTools(): Promise<FakeTools> {
  const dir = await mkdtemp(join(tmpdir(), 'gw-fake-tools-'));
  for (const tool of ['cat', 'dirname', 'mv', 'rm', 'sleep']) await symlink(join('/usr/bin', tool), join(dir, tool));
  const before = process.env['PATH'];
  process.env['PATH'] = dir;
  return {
    dir,
    write: async (scripts) => {
      for (const [name, script] of Object.entries(scripts)) {
        const path = join(dir, name);
        await rm(path, { force: true });
        if (script === null) continue;
        await writeFile(path, `#!/bin/sh\n${script}\n`);
        await chmod(path, 0o755);
      }
    },
    close: async () => {
      process.env['PATH'] = before;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
