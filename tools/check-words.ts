// Words that have no place in the project's files: hosts that only some machines reach, paths of one machine, and promises not kept.
import { report, type SourceFile, sourceFiles } from './source-files.ts';

interface Rule {
  readonly pattern: RegExp;
  readonly why: string;
}

const rules: readonly Rule[] = [
  {
    pattern: /\b(?:registry\.(?:npmjs|yarnpkg)|npmmirror|jfrog|artifactory|(?:deb|snapshot|ftp)\.debian\.org|pypi\.org|proxy\.golang)/i,
    why: 'names the host of a registry; each machine has its own',
  },
  { pattern: /(?<![\w.-])\/work\/\w/, why: 'names a path of one machine' },
  { pattern: /\b(?:claude|anthropic|openai|chatgpt|copilot|LLM|language model)\b/i, why: 'says how it was written, not what it does' },
  { pattern: /\bAI\b/, why: 'says how it was written, not what it does' },
  { pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/, why: 'is work not done: do it, or open an issue' },
];

/** One line per forbidden word, empty when there is none. */
export function wordViolations(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) =>
    file.text.split('\n').flatMap((line, index) =>
      rules.flatMap((rule) => {
        const match = rule.pattern.exec(line);
        return match === null ? [] : [`${file.path}:${index + 1} '${match[0]}' ${rule.why}`];
      }),
    ),
  );
}

if (import.meta.main) {
  // The lock file is npm's; this check and its test have to name the words.
  const exempt = new Set(['package-lock.json', 'tools/check-words.ts', 'tools/check-words.test.ts']);
  report(wordViolations(sourceFiles((path) => !exempt.has(path))));
}
