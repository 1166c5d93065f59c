import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ControllerConfig } from '@godwit/contract/config/controller-config';
import { endOf, lastWords } from '@godwit/contract/testing/last-words';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, godwit, type Lab, labUp } from './lab-harness.ts';

type Migration = {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly source: { readonly name: string };
  readonly destination: { readonly name: string } | null;
  readonly outcome: { readonly cause: string | null; readonly runsOn: string } | null;
  readonly finishedAt: string | null;
};
type Server = { readonly status: string; readonly 'OS-EXT-STS:task_state': string | null; readonly 'OS-EXT-SRV-ATTR:host': string };

/** Controllers and agents that die or freeze in the middle of a move of a real guest: somebody finishes it, and the record is true. */
describe('faults of controllers and agents', () => {
  let lab: Lab;
  let id: string;
  let token: string;
  beforeAll(async () => {
    lab = await labUp(2);
    await lab.openstack('server create --image godwit-demo --flavor demo.tiny --network demo --wait g1');
    id = (await lab.openstackJson<{ readonly id: string }>('server show g1')).id;
    token = await lab.openstack('token issue -f value -c id');
    await eventually(consoleText, (text) => text.includes('ready'), 60_000);
  }, 240_000);
  afterAll(async () => lab?.down(), 90_000);

  async function call<Answer>(url: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(`${lab.url}${url}`, {
      ...init,
      headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json', 'OpenStack-API-Version': 'compute 2.87' },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${init.method ?? 'GET'} ${url} answered ${response.status}: ${text}`);
    return (text === '' ? null : JSON.parse(text)) as Answer;
  }
  const action = (body: object) => call<null>(`/compute/v2.1/servers/${id}/action`, { method: 'POST', body: JSON.stringify(body) });
  const server = async () => (await call<{ readonly server: Server }>(`/compute/v2.1/servers/${id}`)).server;
  const consoleText = async () =>
    (
      await call<{ readonly output: string }>(`/compute/v2.1/servers/${id}/action`, {
        method: 'POST',
        body: JSON.stringify({ 'os-getConsoleOutput': {} }),
      })
    ).output;
  const newest = async () => {
    const { migrations } = await call<{ readonly migrations: readonly Migration[] }>('/godwit/v1/migrations?limit=1');
    const [first] = migrations;
    if (first === undefined) throw new Error('there is no migration');
    return first;
  };

  /** Starts a move and resolves, at the first sign of the phase, with its id; or when it has ended before it was seen. */
  async function moveUntil(phase: string): Promise<string> {
    const watching = new AbortController();
    const events = await fetch(`${lab.url}/godwit/v1/events`, { headers: { 'X-Auth-Token': token }, signal: watching.signal });
    await action({ 'os-migrateLive': { host: null, block_migration: 'auto' } });
    let text = '';
    for await (const chunk of events.body ?? []) {
      text += Buffer.from(chunk).toString();
      if ([phase, 'completed', 'failed', 'error', 'cancelled'].some((one) => text.includes(`"phase":"${one}"`))) break;
    }
    watching.abort();
    return (await newest()).id;
  }

  /** The move has ended, everything agrees about where the guest is, and the guest is alive: its console goes on. */
  async function settled(deadlineMs = 60_000): Promise<Migration> {
    const migration = await eventually(newestQuietly, (one) => one?.finishedAt !== null && one !== null, deadlineMs);
    if (migration === null) throw new Error('no migration');
    const shown = await eventually(server, (one) => one['OS-EXT-STS:task_state'] === null, 30_000);
    const expected = migration.outcome?.runsOn === 'destination' ? migration.destination?.name : migration.source.name;
    expect(shown).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': expected });
    const before = await eventually(consoleQuietly, (text) => text !== null, 30_000);
    await eventually(consoleQuietly, (text) => text !== null && text.length > (before?.length ?? 0), 30_000);
    return migration;
  }
  // An agent that was killed does not answer for a moment: the API then says 503, truthfully.
  const consoleQuietly = () =>
    consoleText().catch((error: unknown) => {
      if (error instanceof Error && error.message.includes('answered 503')) return null;
      throw error;
    });
  // A controller that was killed does not answer for a moment.
  const newestQuietly = () => newest().catch(() => null);

  for (const phase of ['scheduling', 'preparing', 'copying', 'switchover', 'committing']) {
    it(`kill -9 of the controller in ${phase}: the next one finishes the move`, async () => {
      const migration = await moveUntil(phase);
      await askSupervisor(lab.dir, { op: 'kill', process: 'controller' });
      const ended = await settled();
      expect(ended).toMatchObject({ id: migration, status: 'completed', outcome: { cause: null, runsOn: 'destination' } });
    }, 120_000);
  }

  it('a controller that freezes is taken over by another, and changes nothing when it wakes', async () => {
    const second = await secondController();
    try {
      const migration = await moveUntil('copying');
      await askSupervisor(lab.dir, { op: 'freeze', process: 'controller' });
      const read = (url: string) => second.get(url, token);
      const ended = await eventually(
        async () => (await read(`/godwit/v1/migrations/${migration}`)) as { readonly migration: Migration },
        (one) => one.migration.finishedAt !== null,
        60_000,
      );
      expect(ended.migration).toMatchObject({ status: 'completed', outcome: { cause: null, runsOn: 'destination' } });
      await askSupervisor(lab.dir, { op: 'thaw', process: 'controller' });
      const after = await settled();
      expect(after).toEqual(await newest());
      expect((await call<{ readonly migration: Migration }>(`/godwit/v1/migrations/${migration}`)).migration).toEqual(ended.migration);
    } finally {
      await askSupervisor(lab.dir, { op: 'thaw', process: 'controller' });
      await second.stop();
    }
  }, 180_000);

  for (const [role, phase] of [
    ['source', 'copying'],
    ['destination', 'preparing'],
    ['destination', 'copying'],
    ['source', 'switchover'],
    ['destination', 'switchover'],
  ] as const) {
    it(`kill -9 of the ${role}'s agent in ${phase}: the move ends truthfully, one guest runs`, async () => {
      await moveUntil(phase);
      const migration = await newest();
      const host = role === 'source' ? migration.source.name : (migration.destination?.name ?? '');
      await askSupervisor(lab.dir, { op: 'kill', process: `agent-${host}` });
      const ended = await settled(90_000);
      expect(['completed', 'failed']).toContain(ended.status);
      if (ended.status === 'failed') expect(ended.outcome?.cause).not.toBeNull();
    }, 180_000);
  }

  /** Another controller on the lab's database, in the network namespace of the first. */
  async function secondController() {
    const config = JSON.parse(await readFile(path.join(lab.dir, 'controller.json'), 'utf8')) as ControllerConfig;
    const { processes } = await askSupervisor(lab.dir, { op: 'status' });
    const first = processes.find((one) => one.name === 'controller')?.pid;
    const port = 18_999;
    const file = path.join(lab.dir, 'second-controller.json');
    const socket = encodeURIComponent(path.join(config.stateDir, 'postgres', 'socket'));
    await writeFile(
      file,
      JSON.stringify({
        ...config,
        stateDir: path.join(lab.dir, 'second-controller'),
        databaseUrl: `postgresql://godwit@/godwit?host=${socket}`,
        listen: { address: '127.0.0.1', port },
        agentListen: { ...config.agentListen, port: 8_799 },
        executorName: 'second',
      }),
    );
    const inside = ['-t', String(first), '-n'];
    const log = openSync(path.join(lab.dir, 'logs', 'second-controller.log'), 'a');
    const child: ChildProcess = spawn('nsenter', [...inside, godwit, 'controller', '--config', file], {
      stdio: ['ignore', log, 'inherit'],
    });
    closeSync(log);
    const get = (url: string, withToken: string) =>
      capture('nsenter', [...inside, 'curl', '-sf', '-H', `X-Auth-Token: ${withToken}`, `http://127.0.0.1:${port}${url}`]);
    const stop = async (): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    };
    try {
      await eventually(
        () => get('/healthz', '').catch(() => null),
        (answer) => answer !== null,
        60_000,
      );
    } catch (error) {
      const words = `${endOf(child)}: ${await lastWords(path.join(lab.dir, 'logs', 'second-controller.log'))}`;
      await stop();
      throw new Error(`the second controller does not answer; it ${words}`, { cause: error });
    }
    return { get, stop };
  }
});

async function capture(command: string, args: readonly string[]): Promise<unknown> {
  const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (data: Buffer) => {
    text += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} exited with ${code}`);
  return JSON.parse(text);
}
