import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endOf, lastLines } from './last-words.ts';

/**
 * The distribution's `openstack` command, loaded once and forked for every command: loading it takes half a second of a processor or more, which a test of thirty
 * commands would pay thirty times. (One process for all of them would not do: the client keeps sessions and versions in its modules.)
 */
export type OpenstackClient = {
  /** Words are split as a shell does, and nothing else of a shell is done. Resolves to what it printed; throws with what it complained of when it fails. Any number may run at once. A command that does not end in two minutes throws too. */
  readonly run: (line: string, environment: Readonly<Record<string, string>>) => Promise<string>;
  readonly stop: () => void;
};

// Each child writes its one line under a lock: longer ones would mix. Whoever has ended is reaped by the kernel.
const loop = `
import contextlib, fcntl, io, json, os, shlex, signal, sys, tempfile
from openstackclient import shell
import openstack, novaclient.client, keystoneclient.v3.client, glanceclient.v2.client
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
lock = tempfile.TemporaryFile()
while line := sys.stdin.readline():
    if os.fork():
        continue
    ask, code, out, err = json.loads(line), 1, io.StringIO(), io.StringIO()
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.update(ask["environment"])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            one = shell.OpenStackShell()
            one.stdout, one.stderr = out, err
            code = one.run(shlex.split(ask["line"])) or 0
    except SystemExit as e:
        code = e.code or 0
    except BaseException as e:
        err.write(str(e))
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print(json.dumps({"id": ask["id"], "code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
    os._exit(0)
`;

/** Longer than the client waits for anything by itself. */
const commandDeadlineMs = 120_000;

type Answer = { readonly id: number; readonly code: number; readonly out: string; readonly err: string };

export function startOpenstackClient(home: string): OpenstackClient {
  const child: ChildProcessWithoutNullStreams = spawn('/usr/bin/python3', ['-c', loop], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, LC_ALL: 'C.UTF-8' },
    stdio: 'pipe',
  });
  const complaints: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString()));
  // A command that is asked when it has ended is answered by its end.
  child.stdin.on('error', () => {});
  const waiting = new Map<number, { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as Answer;
    waiting.get(answer.id)?.resolve(answer);
    waiting.delete(answer.id);
  });
  let hasEnded = false;
  const ended = () => new Error(`the openstack client ${endOf(child)}: ${lastLines(complaints.join(''))}`);
  child.on('exit', () => {
    hasEnded = true;
    for (const one of waiting.values()) one.reject(ended());
    waiting.clear();
  });
  let asked = 0;
  return {
    run: async (line, environment) => {
      if (hasEnded) throw ended();
      const id = (asked += 1);
      const answered = new Promise<Answer>((resolve, reject) => waiting.set(id, { resolve, reject }));
      child.stdin.write(`${JSON.stringify({ id, line, environment })}\n`);
      const deadline = setTimeout(() => {
        waiting
          .get(id)
          ?.reject(
            new Error(
              `openstack ${line}: no answer in ${commandDeadlineMs} ms; the client ${endOf(child)}: ${lastLines(complaints.join(''))}`,
            ),
          );
        waiting.delete(id);
      }, commandDeadlineMs);
      const { code, out, err } = await answered.finally(() => clearTimeout(deadline));
      if (code !== 0) throw new Error(`openstack ${line}: ${err || out}`);
      return out;
    },
    stop: () => {
      child.stdin.end();
      child.kill();
    },
  };
}
