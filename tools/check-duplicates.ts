// Code that stands in two places. Tests and generated code may repeat themselves.
import { report, type SourceFile, sourceFiles } from './source-files.ts';

/** A run of this many equal lines of code is a copy. */
const WINDOW_LINES = 12;

interface CodeLine {
  readonly text: string;
  readonly number: number;
}

/** Lines with code in them: no blanks, comments, imports or lone brackets, so that layout does not hide a copy and boilerplate is none. */
function codeLines(file: SourceFile): readonly CodeLine[] {
  return file.text
    .split('\n')
    .map((text, index) => ({ text: text.trim(), number: index + 1 }))
    .filter(({ text }) => text !== '' && !/^(\/\/|\/\*|\*|import\b|export \* |export \{|[\])}>;,]+$)/.test(text));
}

/** One line per copied run of code, naming both places. Only the start of a longer run is reported. */
export function duplicateViolations(files: readonly SourceFile[]): readonly string[] {
  const seen = new Map<string, { readonly file: SourceFile; readonly line: number; readonly index: number }>();
  const violations: string[] = [];
  for (const file of files) {
    const lines = codeLines(file);
    let skipUntil = 0;
    for (let index = 0; index + WINDOW_LINES <= lines.length; index += 1) {
      const window = lines.slice(index, index + WINDOW_LINES);
      const key = window.map((line) => line.text).join('\n');
      const first = seen.get(key);
      const line = window[0]?.number ?? 0;
      if (first === undefined) {
        seen.set(key, { file, line, index });
      } else if (index >= skipUntil && (first.file !== file || index - first.index >= WINDOW_LINES)) {
        violations.push(`${file.path}:${line} repeats ${WINDOW_LINES} lines or more of ${first.file.path}:${first.line}`);
        skipUntil = index + WINDOW_LINES;
      }
    }
  }
  return violations;
}

if (import.meta.main) {
  const wanted = (path: string) => /\.tsx?$/.test(path) && !/\.(test|e2e)\.tsx?$/.test(path) && !path.includes('/gen/');
  report(duplicateViolations(sourceFiles(wanted)));
}
