/**
 * The lab's supervisor: `node main.ts <dir>`, started detached by `lab up`, which hands it the public listener as fd 3
 * (LISTEN_FDS=1). It only binds that socket's lifetime to its own: it never accepts from it, so that connections made while
 * the controller restarts wait in the kernel's queue instead of being refused.
 */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { LabError } from '../lab-error.ts';
import { labFiles, readLabPlan } from '../lab-plan.ts';
import { processIdentity } from '../process-identity.ts';
import { askSupervisor } from './control-client.ts';
import type { SupervisorReply, SupervisorRequest } from './control-protocol.ts';
import { Supervisor } from './supervisor.ts';

const publicListenerFd = 3;
const log = (line: string): void => console.log(`${new Date().toISOString()} ${line}`);

async function main(dir: string): Promise<void> {
  const plan = await readLabPlan(dir);
  if (plan === undefined) throw new LabError('NOT_RUNNING', `${labFiles(dir).plan} is missing or broken`);
  const files = labFiles(dir);
  const other = await askSupervisor(dir, { op: 'status' }, 2000).catch(() => undefined);
  if (other !== undefined) throw new LabError('ALREADY_RUNNING', `another supervisor (pid ${other.pid}) serves this lab`);
  await mkdir(files.logs, { recursive: true });
  await mkdir(files.run, { recursive: true });
  const supervisor = new Supervisor(plan, process.env.LISTEN_FDS === '1' ? publicListenerFd : undefined, log);
  delete process.env.LISTEN_FDS;
  delete process.env.LISTEN_PID;

  const answer = async (line: string): Promise<SupervisorReply> => {
    try {
      return { ok: true, status: await supervisor.handle(JSON.parse(line) as SupervisorRequest) };
    } catch (error) {
      const code = error instanceof LabError ? error.code : 'SUPERVISOR_FAILED';
      log(`refused ${line}: ${String(error)}`);
      return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
    }
  };
  // allowHalfOpen: the client ends its side after the request, and the answer may take long.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    createInterface({ input: socket }).once('line', (line) => {
      void answer(line).then((reply) => {
        socket.end(`${JSON.stringify(reply)}\n`);
        if (reply.ok && isShutdown(line)) {
          log('shut down on request');
          socket.once('close', () => process.exit(0));
        }
      });
    });
  });
  await rm(files.socket, { force: true });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(files.socket, resolve));
  await chmod(files.socket, 0o600);
  const identity = await processIdentity(process.pid);
  await writeFile(files.supervisorPid, `${process.pid} ${identity?.startTicks ?? ''}\n`);
  // The terminal may close: that is no reason to take a cloud down.
  process.on('SIGHUP', () => {});
  process.once('SIGTERM', () => void supervisor.handle({ op: 'shutdown' }).finally(() => process.exit(0)));
  log(`supervisor of ${plan.labId} at ${files.socket}`);
  await supervisor.startAll();
}

const isShutdown = (line: string): boolean => (JSON.parse(line) as { readonly op?: unknown }).op === 'shutdown';

main(process.argv[2] ?? '').catch((error: unknown) => {
  log(String(error));
  process.exitCode = 1;
});
