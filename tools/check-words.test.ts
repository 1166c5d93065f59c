import { expect, it } from 'vitest';
import { wordViolations } from './check-words.ts';

const check = (text: string) => wordViolations([{ path: 'a.ts', text }]);

it.each([
  `https://${['registry', 'npmjs', 'org'].join('.')}/left-pad`, // put together here: this file is checked too
  `URIs: http://${['deb', 'debian', 'org'].join('.')}/debian`,
  "const directory = '/work/main';",
  '// TODO later',
  '// written with an LLM',
  'by AI',
])('refuses %s', (text) => {
  expect(check(`fine\n${text}\n`)).toHaveLength(1);
  expect(check(`fine\n${text}\n`)[0]).toMatch(/^a\.ts:2 /);
});

it.each(["const path = 'src/work/item';", 'AIO threads', 'a session of the client', '/usr/share/common-licenses', 'main.ts'])(
  'allows %s',
  (text) => {
    expect(check(text)).toEqual([]);
  },
);
