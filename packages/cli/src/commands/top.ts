import type { Command } from '../command.ts';
import { objectsAt } from '../json.ts';
import { migrationEnd, progressLine } from '../migration-text.ts';
import { pause } from '../pause.ts';

const REDRAW_EVERY_MS = 1_000;
const ENDED_SHOWN = 10;

export const commands: readonly Command[] = [
  {
    words: 'top',
    summary: 'Live view of the migrations under way; once, when the output is no terminal. Ctrl-C ends it',
    options: [{ flags: '--once', description: 'print it once' }],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const godwit = await cloud.service('godwit');
      const once = input.flag('once') || !terminal.isTerminal;
      for (;;) {
        const migrations = objectsAt(await godwit.get('/migrations', { limit: 200 }), 'migrations');
        const running = migrations.filter((each) => migrationEnd(each) === null);
        const ended = migrations.filter((each) => migrationEnd(each) !== null).slice(0, ENDED_SHOWN);
        const lines = [
          `${running.length} under way`,
          ...running.map((each) => `  ${progressLine(each).text}`),
          ...(ended.length === 0 ? [] : ['ended last', ...ended.map((each) => `  ${migrationEnd(each)?.sentence ?? ''}`)]),
        ];
        const shown = terminal.isTerminal ? lines.map((line) => line.slice(0, terminal.columns)) : lines;
        terminal.out(`${once ? '' : '\u001b[H\u001b[2J'}${shown.join('\n')}\n`);
        if (once || terminal.interrupted.aborted) return;
        try {
          await pause(REDRAW_EVERY_MS, terminal.interrupted);
        } catch {
          return;
        }
      }
    },
  },
];
