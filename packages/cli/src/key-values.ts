import { CommandError, exitCodes } from './command-error.ts';

/** `['a=1', 'b=x=y']` → `{a: '1', b: 'x=y'}`. Throws `CommandError` (usage) for what has no `=` or no key. */
export function keyValues(given: readonly string[], option: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new CommandError(`Expected 'key=value' type for --${option}, but got: ${pair}`, { exitCode: exitCodes.usage });
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
