import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allCommands } from './all-commands.ts';
import { optionsOf } from './program.ts';

const root = new URL('../../../', import.meta.url);
const documents = ['README.md', 'packages/cli/README.md', ...readdirSync(new URL('docs/', root)).map((name) => `docs/${name}`)].filter(
  (name) => name.endsWith('.md'),
);
/** Words of the executable that are no commands of the client. */
const others = new Set(['controller', 'agent', 'lab', 'demo']);

/** What stands after `godwit` in a document's code, up to a comment, a pipe or the next command. */
function linesOf(text: string): readonly string[] {
  const inBlocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block = '']) => block.split('\n'));
  const inSentences = [...text.replaceAll(/^```\w*\n.*?^```/gms, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  return [...inBlocks, ...inSentences].flatMap((line) =>
    [...line.matchAll(/(?:^|&& |\$\(|bin\/|\| )godwit ([a-z][^#|&)$]*)/g)].map(([, rest = '']) => rest.trim()),
  );
}

it('documents name commands and options that exist', async () => {
  const commands = await allCommands();
  const wrong: string[] = [];
  let looked = 0;
  for (const document of documents)
    for (const line of linesOf(readFileSync(new URL(document, root), 'utf8'))) {
      if (others.has(line.split(' ')[0] ?? '')) continue;
      looked += 1;
      const named = commands
        .filter(({ words }) => `${line} `.startsWith(`${words} `))
        .toSorted((a, b) => b.words.length - a.words.length)[0];
      // A group of commands, as in `godwit drain …`.
      const isGroup = /^[a-z ]+( …)?$/.test(line) && commands.some(({ words }) => words.startsWith(`${line.replace(/ ?…$/, '')} `));
      if (named === undefined) {
        if (!isGroup) wrong.push(`${document}: godwit ${line}`);
        continue;
      }
      const here = new Set(optionsOf(named).flatMap(({ flags }) => [...flags.matchAll(/--?[\w-]+/g)].map(([name]) => name)));
      for (const [option] of line.slice(named.words.length).matchAll(/(?<=\s)--?[a-z][\w-]*/g))
        if (!here.has(option) && !option.startsWith('--os-') && option !== '--insecure')
          wrong.push(`${document}: godwit ${named.words} ${option}`);
    }
  expect(wrong).toEqual([]);
  expect(looked).toBeGreaterThan(40);
});
