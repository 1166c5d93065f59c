import type { Command } from './command.ts';
import { longName, optionsOf } from './program.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A script that completes every command's words and options in that shell. `others`: first words that are no client commands. */
export function completionScript(shell: Shell, commands: readonly Command[], others: readonly string[]): string {
  const next = nextWords(commands, others);
  const options = new Map(commands.map((command) => [command.words, optionsOf(command).map((option) => `--${longName(option.flags)}`)]));
  return shell === 'fish' ? fish(next, options) : bashOrZsh(shell, next, options);
}

/** What may follow each beginning of a command. */
function nextWords(commands: readonly Command[], others: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const next = new Map<string, Set<string>>([['', new Set(others)]]);
  for (const { words } of commands) {
    const parts = words.split(' ');
    for (const [index, part] of parts.entries()) {
      const beginning = parts.slice(0, index).join(' ');
      const known = next.get(beginning) ?? new Set<string>();
      next.set(beginning, known.add(part));
    }
  }
  return new Map([...next].map(([beginning, words]) => [beginning, [...words].toSorted()]));
}

type Table = ReadonlyMap<string, readonly string[]>;

/** One function serves both shells: zsh runs bash's completions, once its own completion system is on. */
function bashOrZsh(shell: 'bash' | 'zsh', next: Table, options: Table): string {
  const cases = (table: Table): string => [...table].map(([key, words]) => `    '${key}') echo '${words.join(' ')}' ;;`).join('\n');
  return `${shell === 'zsh' ? '(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\nautoload -Uz bashcompinit && bashcompinit\n' : ''}_godwit_next() {
  case "$1" in
${cases(next)}
  esac
}
_godwit_options() {
  case "$1" in
${cases(options)}
  esac
}
_godwit() {
  local current="\${COMP_WORDS[COMP_CWORD]}" beginning='' word index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    [ -n "$(_godwit_next "\${beginning:+$beginning }$word")$(_godwit_options "\${beginning:+$beginning }$word")" ] || break
    beginning="\${beginning:+$beginning }$word"
  done
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$(_godwit_options "$beginning")" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$(_godwit_next "$beginning")" -- "$current")) ;;
  esac
}
complete -F _godwit godwit
`;
}

function fish(next: Table, options: Table): string {
  const condition = (beginning: string): string => `__godwit_at '${beginning}'`;
  const lines = [...next].flatMap(([beginning, words]) =>
    words.map((word) => `complete -c godwit -f -n "${condition(beginning)}" -a '${word}'`),
  );
  const flags = [...options].flatMap(([words, names]) =>
    names.map((name) => `complete -c godwit -f -n "__godwit_in '${words}'" -l '${name.slice(2)}'`),
  );
  return `function __godwit_at
  set -l words (commandline -opc)[2..-1]
  test "$words" = "$argv[1]"
end
function __godwit_in
  set -l words (commandline -opc)[2..-1]
  string match -q -- "$argv[1]*" "$words"
end
${[...lines, ...flags].join('\n')}
`;
}
