import { readFile } from 'node:fs/promises';
import type { Finding } from '@godwit/domain/doctor/finding';
import { problem } from '@godwit/domain/doctor/finding';
import { hasProblems, reportText } from '@godwit/domain/doctor/report';

/** `godwit doctor`: with `--config FILE` this host is examined by the configuration of its agent or controller, else the client examines the cloud. Resolves to the exit code: 1 when there is a problem. */
export async function main(argv: readonly string[]): Promise<number> {
  const at = argv.findIndex((word) => word === '--config' || word.startsWith('--config='));
  if (at === -1) return (await import('@godwit/cli/main')).main(['doctor', ...argv]);
  const word = argv[at] ?? '';
  const file = word.includes('=') ? word.slice(word.indexOf('=') + 1) : argv[at + 1];
  if (file === undefined || file === '') {
    process.stderr.write('godwit doctor: --config needs a file\n');
    return 2;
  }
  const findings = await examine(file);
  process.stdout.write(argv.includes('--json') ? `${JSON.stringify(findings, null, 2)}\n` : reportText(findings));
  return hasProblems(findings) ? 1 : 0;
}

/** Which of the two a file configures is told by its settings: only an agent has an address on the migration network. */
async function examine(file: string): Promise<readonly Finding[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    return [
      problem(
        'configuration',
        file,
        `${file} cannot be read: ${(error as Error).message}.`,
        'Name the configuration of an agent or a controller; as root, if it is not readable otherwise.',
      ),
    ];
  }
  return /^\s*"?managementAddress"?\s*:/m.test(text)
    ? (await import('@godwit/agent/doctor/examine-host')).examineHost(file)
    : (await import('@godwit/controller/doctor/examine-controller-host')).examineControllerHost(file);
}
