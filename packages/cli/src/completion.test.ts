import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { allCommands } from './all-commands.ts';
import { completionScript } from './completion.ts';

const complete = async (...words: readonly string[]): Promise<readonly string[]> => {
  const script = completionScript('bash', await allCommands(), ['lab']);
  const typed = ['godwit', ...words].map((word) => `'${word}'`).join(' ');
  const out = execFileSync('bash', [
    '-c',
    `${script}\nCOMP_WORDS=(${typed}); COMP_CWORD=${words.length}; _godwit; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]);
  return out.toString().trim().split('\n');
};

describe('completion', () => {
  it('offers the words that may follow, in a real bash', async () => {
    expect(await complete('server', 'migration', '')).toEqual(['abort', 'confirm', 'force', 'list', 'revert', 'show']);
    expect(await complete('la')).toEqual(['lab']);
  });

  it('offers the options of the command, also after an argument', async () => {
    expect(await complete('server', 'migrate', '--li')).toEqual(['--live-migration']);
    expect(await complete('server', 'migrate', 'web', '--wa')).toEqual(['--wait']);
  });

  it.each(['zsh', 'fish'] as const)('is a script that %s itself reads, where it is installed', async (shell) => {
    const script = completionScript(shell, await allCommands(), ['lab']);
    expect(script).toContain('live-migration');
    if (spawnSync(shell, ['--version']).error !== undefined) return;
    if (shell === 'zsh') {
      // What it offers shows on a terminal alone; that its syntax is zsh's can be asked.
      expect(spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
      return;
    }
    const asks = ['godwit server migration ', 'godwit server migrate web --wa'].map((line) => `complete -C '${line}'`).join('\n');
    const offered = execFileSync(shell, ['--no-config', '-c', `${script}\n${asks}`], { encoding: 'utf8' });
    expect(offered.trim().split('\n')).toEqual(['abort', 'confirm', 'force', 'list', 'revert', 'show', '--wait']);
  });

  it('every command has its own words, and is loaded by its first', async () => {
    const commands = await allCommands();
    expect(new Set(commands.map((command) => command.words)).size).toBe(commands.length);
    const { commandFiles } = await import('./commands/index.ts');
    for (const command of commands) {
      const file = await commandFiles.get(command.words.split(' ')[0] ?? '')?.load();
      expect(file?.commands.map((one) => one.words)).toContain(command.words);
    }
  });
});
