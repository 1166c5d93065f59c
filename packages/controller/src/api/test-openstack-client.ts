import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * The distribution's `openstack` command, loaded once and forked for every command: loading it takes a second or more, which a test of thirty commands
 * would pay thirty times. (One process for all of them would not do: the client keeps sessions and versions in its modules.)
 */
export type OpenstackClient = {
  /** Words are split at blanks. Resolves to what it printed; throws with what it complained of when it fails. */
  readonly run: (line: string, environment: Readonly<Record<string, string>>) => Promise<string>;
  readonly stop: () => void;
};

const loop = `
import contextlib, io, json, os, sys
from openstackclient import shell
import openstack, novaclient.client, keystoneclient.v3.client, glanceclient.v2.client
while line := sys.stdin.readline():
    ask = json.loads(line)
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        continue
    os.environ.update(ask["environment"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        one = shell.OpenStackShell()
        one.stdout, one.stderr = out, err
        try:
            code = one.run(ask["words"])
        except SystemExit as e:
            code = e.code
        except Exception as e:
            code = 1
            err.write(str(e))
    print(json.dumps({"code": code or 0, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
    os._exit(0)
`;

export function startOpenstackClient(home: string): OpenstackClient {
  const child: ChildProcessWithoutNullStreams = spawn('/usr/bin/python3', ['-c', loop], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, LC_ALL: 'C.UTF-8' },
    stdio: 'pipe',
  });
  const complaints: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString()));
  const waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.resolve(line));
  child.on('exit', () => {
    for (const one of waiting.splice(0)) one.reject(new Error(`the openstack client ended: ${complaints.join('')}`));
  });
  return {
    run: async (line, environment) => {
      const answered = new Promise<string>((resolve, reject) => waiting.push({ resolve, reject }));
      child.stdin.write(`${JSON.stringify({ words: line.split(' '), environment })}\n`);
      const { code, out, err } = JSON.parse(await answered) as { code: number; out: string; err: string };
      if (code !== 0) throw new Error(`openstack ${line}: ${err || out}`);
      return out;
    },
    stop: () => {
      child.stdin.end();
      child.kill();
    },
  };
}
