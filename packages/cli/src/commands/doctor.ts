import { writeFile } from 'node:fs/promises';
import type { Finding } from '@godwit/domain/doctor/finding';
import { hasProblems, reportText } from '@godwit/domain/doctor/report';
import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { objectAt, objectsAt, textAt } from '../json.ts';

export const commands: readonly Command[] = [
  {
    words: 'doctor',
    summary:
      'Examine the cloud, each finding with its remedy; --config FILE examines this host, --bundle ID collects all that is known of a move',
    options: [
      {
        flags: '--bundle <id>',
        description: 'write all that is known of a migration or of a request (req-…) into a file, secrets removed',
      },
      { flags: '--output <file>', description: 'the file; default godwit-bundle-ID.json' },
      { flags: '--json', description: 'the findings as JSON' },
      { flags: '--config <file>', description: 'an agent’s or controller’s configuration: examines this host by it, and asks no cloud' },
    ],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const godwit = await cloud.service('godwit');
      const id = input.text('bundle');
      if (id !== null) {
        const bundle = objectAt(await godwit.get(`/bundles/${encodeURIComponent(id)}`), 'bundle');
        const file = input.text('output') ?? `godwit-bundle-${id.replaceAll(/[^\w-]/g, '_')}.json`;
        await writeFile(file, `${JSON.stringify(bundle, null, 2)}\n`, { mode: 0o600 }).catch((error: unknown) => {
          throw new CommandError(`The bundle could not be written: ${(error as Error).message}`, {
            next: 'Name another file with --output.',
          });
        });
        const missing = objectsAt(bundle, 'missing').map((one) => `${textAt(one, 'host')} (${textAt(one, 'reason')})`);
        const logs = objectsAt(bundle, 'logs').map((log) => `${textAt(log, 'of')} ${textAt(log, 'name')}`);
        terminal.out(`${file}: ${objectsAt(bundle, 'migrations').length} migrations, logs of ${logs.join(', ')}.\n`);
        if (missing.length > 0) terminal.err(`Did not answer: ${missing.join(', ')}.\n`);
        return;
      }
      const body = await godwit.get('/doctor');
      const findings = objectsAt(body, 'findings').map(
        (one): Finding => ({
          check: textAt(one, 'check'),
          level: textAt(one, 'level') as Finding['level'],
          subject: textAt(one, 'subject'),
          sentence: textAt(one, 'sentence'),
          remedy: textAt(one, 'remedy'),
        }),
      );
      terminal.out(input.flag('json') ? `${JSON.stringify(findings, null, 2)}\n` : reportText(findings));
      if (hasProblems(findings)) throw new CommandError('This cloud has problems.', { next: 'What to do stands below each.' });
    },
  },
];
