import { findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { isObject, objectAt, textAt } from '../../json.ts';

export const serverConsole: readonly Command[] = [
  {
    words: 'console log show',
    summary: "Show server's console output",
    arguments: ['<server>'],
    options: [{ flags: '--lines <num-lines>', description: 'lines from the end; all of them by default', kind: 'integer' }],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const compute = await cloud.compute();
      const id = await findId(cloud, 'server', input.argument('server'));
      const length = input.integer('lines');
      const body = await compute.post(`/servers/${id}/action`, { 'os-getConsoleOutput': length === null ? {} : { length } });
      const text = textAt(body, 'output');
      terminal.out(text.endsWith('\n') ? text : `${text}\n`);
    },
  },
  {
    words: 'console url show',
    summary: "Show server's remote console URL",
    arguments: ['<server>'],
    options: [
      { flags: '--novnc', description: 'a noVNC console (default)' },
      { flags: '--serial', description: 'a serial console' },
    ],
    output: 'show',
    run: async (cloud, input) => {
      cloud.require(6, 'ask for a remote console');
      const compute = await cloud.compute();
      const id = await findId(cloud, 'server', input.argument('server'));
      const [protocol, type] = input.flag('serial') ? ['serial', 'serial'] : ['vnc', 'novnc'];
      const console = objectAt(
        await compute.post(`/servers/${id}/remote-consoles`, { remote_console: { protocol, type } }),
        'remote_console',
      );
      return Object.entries(isObject(console) ? console : {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
    },
  },
];
