import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { TaskState, VmState } from '@godwit/domain/server';
import { checkAction, type ServerAction, serverStatus } from '@godwit/domain/server-states';
import { ApiFailure, signIn } from '@godwit/lab/cloud/openstack-client';
import { type SimulatedCloud, startSimulatedCloud } from '@godwit/lab/cloud/simulated-cloud';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const run = promisify(execFile);
/** Twenty servers and as many claims of their moves leave room on more than one of them: no move can fail for want of it. */
const hosts = 6;
/** Room for eight guests of 64 MiB on each host. */
const hostRamMib = 512;
/** vCPUs: more than either flavor has, and the most that both allow. */
const scaledTo = 3;

type Server = {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly hostId: string;
  readonly locked: boolean;
  readonly flavor: { readonly original_name: string };
  readonly fault?: { readonly message: string };
  readonly 'OS-EXT-STS:vm_state': VmState;
  readonly 'OS-EXT-STS:task_state': TaskState;
  readonly 'OS-EXT-STS:power_state': number;
  readonly 'OS-EXT-SRV-ATTR:host': string | null;
};

/** Many requests at once, in any order, on hosts that are only played: nothing is doubled, nothing is lost, and every answer is one of the contract's. */
describe('a cloud of simulated hosts', () => {
  let cloud: SimulatedCloud;
  let secondFlavor: string;
  /** What controllers and agents of this cloud have sent to the collector of traces. */
  const spans: Span[] = [];
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      spans.push(...spansOf(Buffer.concat(chunks).toString()));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    cloud = await startSimulatedCloud({
      hosts,
      ramMib: hostRamMib,
      timings: { qemuStartMs: 2, diskCreateMs: 1, blackoutMs: 1 },
      controller: { limits: { outgoingPerHost: 4, incomingPerHost: 4, total: 100 }, shelvedOffloadSeconds: -1 },
    });
    const { flavor } = await cloud.client.request<{ readonly flavor: { readonly id: string } }>('compute', 'POST', '/flavors', {
      body: { flavor: { name: 'larger', vcpus: 2, ram: 128, disk: 1, id: null } },
    });
    secondFlavor = flavor.id;
    const extra_specs = { 'godwit:max_vcpus': String(scaledTo) };
    for (const id of [cloud.flavorId, secondFlavor])
      await cloud.client.request('compute', 'POST', `/flavors/${id}/os-extra_specs`, { body: { extra_specs } });
  }, 120_000);
  afterAll(async () => {
    await cloud?.stop();
    delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    collector.closeAllConnections();
    await new Promise((resolve) => collector.close(resolve));
  }, 60_000);
  // What a test that failed has left would fail the next ones too.
  beforeEach(async () => {
    await Promise.all((await all()).map(({ id }) => cloud.client.request('compute', 'DELETE', `/servers/${id}`).catch(() => undefined)));
    await until('not deleted', all, (left) => left.length === 0);
  });

  const show = async (id: string): Promise<Server> =>
    (await cloud.client.request<{ readonly server: Server }>('compute', 'GET', `/servers/${id}`)).server;
  const all = async (): Promise<readonly Server[]> =>
    (await cloud.client.request<{ readonly servers: readonly Server[] }>('compute', 'GET', '/servers/detail')).servers;
  const newServer = async (name: string): Promise<string> => {
    const { server } = await cloud.client.request<{ readonly server: { readonly id: string } }>('compute', 'POST', '/servers', {
      body: { server: { name, imageRef: cloud.imageId, flavorRef: cloud.flavorId, networks: [{ uuid: cloud.networkId }] } },
    });
    return server.id;
  };
  /** The status of the answer, and its words when it is a refusal. */
  const answerOf = (request: Promise<unknown>): Promise<{ readonly status: number; readonly text: string }> =>
    request.then(
      () => ({ status: 202, text: '' }),
      (error: unknown) => {
        if (!(error instanceof ApiFailure)) throw error;
        return { status: error.status, text: error.body };
      },
    );
  const act = (id: string, body: object) =>
    answerOf(
      'scale' in body
        ? cloud.client.request('godwit', 'POST', `/servers/${id}/scale`, { body: body.scale as object })
        : cloud.client.request('compute', 'POST', `/servers/${id}/action`, { body, headers: { 'openstack-api-version': 'compute 2.60' } }),
    );
  type Image = { readonly id: string; readonly name: string; readonly status: string };
  const images = async (): Promise<readonly Image[]> =>
    (await cloud.client.request<{ readonly images: readonly Image[] }>('image', 'GET', '/v2/images?limit=500')).images;
  async function until<T>(what: string, look: () => Promise<T>, done: (seen: T) => boolean, deadlineMs = 30_000): Promise<T> {
    for (const deadline = Date.now() + deadlineMs; ; await delay(20)) {
      const seen = await look();
      if (done(seen)) return seen;
      if (Date.now() > deadline) throw new Error(`${what}: ${JSON.stringify(seen).slice(0, 1_000)}`);
    }
  }
  const idle = (server: Server): boolean => server['OS-EXT-STS:task_state'] === null && server['OS-EXT-STS:vm_state'] !== 'building';

  /** What each host holds in the ledger, by the placement API: consumer → MiB. */
  async function ledger(client = cloud.client): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    const headers = { 'openstack-api-version': 'placement 1.29' };
    const { resource_providers } = await client.request<{
      readonly resource_providers: readonly { readonly uuid: string; readonly name: string }[];
    }>('placement', 'GET', '/resource_providers', { headers });
    const held = new Map<string, ReadonlyMap<string, number>>();
    for (const { uuid, name } of resource_providers) {
      const { allocations } = await client.request<{
        readonly allocations: Readonly<Record<string, { readonly resources: Readonly<Record<string, number>> }>>;
      }>('placement', 'GET', `/resource_providers/${uuid}/allocations`, { headers });
      held.set(name, new Map(Object.entries(allocations).map(([consumer, { resources }]) => [consumer, resources['MEMORY_MB'] ?? 0])));
    }
    return held;
  }
  /** What each host's agent has running, by the file in which it keeps its guests over a restart. */
  async function running(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const directory = path.join(cloud.directory, 'agent', 'hosts');
    const found = new Map<string, ReadonlySet<string>>();
    for (const name of await readdir(directory)) {
      const text = await readFile(path.join(directory, name, 'guests.json'), 'utf8').catch(() => '{"guests":[]}');
      const { guests } = JSON.parse(text) as {
        readonly guests: readonly { readonly wanted: { readonly serverId: string }; readonly runstate: string }[];
      };
      found.set(
        name,
        new Set(guests.filter(({ runstate }) => runstate === 'running' || runstate === 'paused').map(({ wanted }) => wanted.serverId)),
      );
    }
    return found;
  }

  it('creates and moves at random at once: no host is overfilled at any moment, and in the end the ledger is what runs', {
    timeout: 180_000,
  }, async () => {
    const asked = hosts * 8 + 6;
    const ids = await Promise.all(Array.from({ length: asked }, (_, index) => newServer(`r${index}`)));
    let over = '';
    let watching = true;
    const watch = (async () => {
      while (watching) {
        for (const [host, held] of await ledger()) {
          const sum = [...held.values()].reduce((a, b) => a + b, 0);
          if (sum > hostRamMib) over = `${host} holds ${sum} MiB`;
        }
        await delay(50);
      }
    })();
    try {
      const made = await until('not all were decided', all, (servers) => servers.filter((one) => one.name.startsWith('r')).every(idle));
      const placed = made.filter((one) => one.status === 'ACTIVE');
      // Exactly as many as there is room for; the others say why.
      expect(placed.length).toBe(hosts * 8);
      for (const refused of made.filter((one) => one.status !== 'ACTIVE'))
        expect(refused.fault?.message).toContain('No valid host was found');
      // Some room, then moves of both kinds everywhere, while others are created and deleted.
      await Promise.all(placed.slice(0, 14).map((one) => cloud.client.request('compute', 'DELETE', `/servers/${one.id}`)));
      await Promise.all(
        made.filter((one) => one.status === 'ERROR').map((one) => cloud.client.request('compute', 'DELETE', `/servers/${one.id}`)),
      );
      const rest = placed.slice(14);
      const moves = rest.map((one, index) =>
        act(one.id, index % 2 === 0 ? { 'os-migrateLive': { host: null, block_migration: 'auto' } } : { migrate: null }),
      );
      const more = Array.from({ length: 6 }, (_, index) => newServer(`m${index}`));
      for (const { status } of await Promise.all(moves)) expect(status).toBe(202);
      await Promise.all(more);
      const after = await until('the moves did not end', all, (servers) => servers.every(idle));
      const waiting = after.filter((one) => one.status === 'VERIFY_RESIZE');
      // A cold move holds both hosts until it is answered.
      const heldTwice = [...(await ledger()).values()].flatMap((held) => [...held.keys()]);
      expect(heldTwice.length).toBe(after.filter((one) => one.status !== 'ERROR').length + waiting.length);
      await Promise.all(waiting.map((one, index) => act(one.id, index % 2 === 0 ? { confirmResize: null } : { revertResize: null })));
      await until('the answers were not carried out', all, (servers) =>
        servers.every((one) => idle(one) && one.status !== 'VERIFY_RESIZE'),
      );
    } finally {
      watching = false;
      await watch;
    }
    expect(over).toBe('');
    const servers = (await all()).filter((one) => one.status === 'ACTIVE');
    const expected = new Map(Array.from({ length: hosts }, (_, index) => [`sim${index + 1}`, new Set<string>()]));
    for (const one of servers) expected.get(one['OS-EXT-SRV-ATTR:host'] ?? '')?.add(one.id);
    const claimed = new Map([...(await ledger())].map(([host, held]) => [host, new Set(held.keys())]));
    expect(claimed).toEqual(expected);
    await until('the agents run something else', running, (seen) => JSON.stringify(sorted(seen)) === JSON.stringify(sorted(expected)));
    expect(ids.length).toBe(asked);
    await Promise.all((await all()).map((one) => cloud.client.request('compute', 'DELETE', `/servers/${one.id}`)));
    await until('not all were deleted', all, (left) => left.length === 0);
    expect([...(await ledger()).values()].every((held) => held.size === 0)).toBe(true);
  });

  /** Actions by the name that the table of states has for them. */
  const actions: readonly (readonly [action: ServerAction, body: () => object])[] = [
    ['start', () => ({ 'os-start': null })],
    ['stop', () => ({ 'os-stop': null })],
    ['pause', () => ({ pause: null })],
    ['unpause', () => ({ unpause: null })],
    ['suspend', () => ({ suspend: null })],
    ['resume', () => ({ resume: null })],
    ['reboot', () => ({ reboot: { type: 'SOFT' } })],
    ['reboot-hard', () => ({ reboot: { type: 'HARD' } })],
    ['live-migrate', () => ({ 'os-migrateLive': { host: null, block_migration: 'auto' } })],
    ['migrate', () => ({ migrate: null })],
    ['resize', () => ({ resize: { flavorRef: secondFlavor } })],
    ['confirm-resize', () => ({ confirmResize: null })],
    ['revert-resize', () => ({ revertResize: null })],
    ['lock', () => ({ lock: null })],
    ['unlock', () => ({ unlock: null })],
    ['rescue', () => ({ rescue: null })],
    ['unrescue', () => ({ unrescue: null })],
    ['rebuild', () => ({ rebuild: { imageRef: cloud.imageId } })],
    ['create-image', () => ({ createImage: { name: 'of a sequence' } })],
    ['create-backup', () => ({ createBackup: { name: 'of a sequence', backup_type: 'daily', rotation: 1 } })],
    ['shelve', () => ({ shelve: null })],
    ['shelve-offload', () => ({ shelveOffload: null })],
    ['unshelve', () => ({ unshelve: null })],
    ['evacuate', () => ({ evacuate: {} })],
    ['scale', () => ({ scale: { vcpus: scaledTo } })],
  ];
  const actionAt = (index: number) => actions[index % actions.length] ?? (['start', () => ({ 'os-start': null })] as const);
  const power: Readonly<Partial<Record<VmState, readonly number[]>>> = {
    active: [1],
    paused: [3],
    stopped: [4],
    suspended: [7],
    resized: [1, 4],
    rescued: [1],
    shelved: [4],
    shelved_offloaded: [4],
  };

  /** `legal`: not this action, but one that the table allows now. `awaited`: the next one waits for its end. */
  type Step = { readonly legal: boolean; readonly action: number; readonly awaited: boolean };
  /** It is deleted once it has come to rest, or in the middle of what it does; then `more` is asked of it. */
  type Life = {
    readonly steps: readonly Step[];
    readonly end: { readonly forced: boolean; readonly rested: boolean; readonly more: readonly number[] };
  };
  const anyAction = fc.nat(actions.length - 1);
  const anyLife: fc.Arbitrary<Life> = fc.record({
    // Legal ones are rare among random ones.
    steps: fc.array(fc.record({ legal: fc.boolean(), action: anyAction, awaited: fc.boolean() }), { minLength: 6, maxLength: 14 }),
    end: fc.record({ forced: fc.boolean(), rested: fc.boolean(), more: fc.array(anyAction, { maxLength: 3 }) }),
  });
  const indexOf = (wanted: ServerAction): number => actions.findIndex(([name]) => name === wanted);
  /** These in this order, each to its end but the last: what chance may leave out. */
  const life = (forced: boolean, ...names: readonly ServerAction[]): Life => ({
    steps: names.map((name, index) => ({ legal: false, action: indexOf(name), awaited: index < names.length - 1 })),
    end: { forced, rested: false, more: (['lock', 'rebuild', 'evacuate', 'shelve', 'create-image', 'unrescue'] as const).map(indexOf) },
  });
  const lives: readonly Life[] = [
    life(false, 'rescue', 'stop', 'unrescue', 'evacuate', 'create-image', 'lock', 'rebuild', 'shelve', 'rebuild', 'rescue'),
    life(true, 'stop', 'rescue', 'unrescue', 'create-backup', 'unlock', 'suspend', 'create-image', 'shelve', 'evacuate', 'start', 'shelve'),
    life(false, 'shelve', 'unshelve', 'create-image', 'shelve', 'shelve-offload', 'rebuild', 'unshelve', 'live-migrate', 'create-backup'),
    life(true, 'unshelve', 'shelve-offload', 'pause', 'create-backup', 'live-migrate', 'unpause', 'reboot', 'shelve', 'start', 'rescue'),
    life(false, 'scale', 'suspend', 'rescue', 'scale', 'resume', 'migrate', 'revert-resize', 'rebuild'),
    life(false, 'resize', 'rebuild', 'rescue', 'shelve', 'create-image', 'confirm-resize', 'reboot-hard', 'create-image'),
  ];

  it('any sequence of actions, legal or not, awaited or not, is answered by the table of states and leaves a state that exists', {
    timeout: 180_000,
  }, async () => {
    const caller = { projectId: cloud.client.projectId, roles: ['admin'], isAdmin: true };
    const factsOf = (server: Server) => ({
      id: server.id,
      projectId: cloud.client.projectId,
      vmState: server['OS-EXT-STS:vm_state'],
      taskState: server['OS-EXT-STS:task_state'],
      locked: server.locked,
      hypervisorType: 'QEMU' as const,
    });
    const played = new Set<ServerAction>();
    const play = async (index: number, { steps, end }: Life): Promise<void> => {
      const id = await newServer(`s${index}`);
      const told: string[] = [];
      // Confirming ends in the background: until it shows, the table does not speak of what comes next.
      let confirming = false;
      let server = await until('not created', () => show(id), idle);
      for (const step of steps) {
        const facts = factsOf(server);
        // The same flavor again is no resize: the table does not speak of it.
        const resized = server.flavor.original_name === 'larger';
        const allowed = actions.filter(([name]) => checkAction(name, facts, caller).ok && !(name === 'resize' && resized));
        const [name, body] = (step.legal ? allowed[step.action % Math.max(1, allowed.length)] : undefined) ?? actionAt(step.action);
        const settled = idle(server) && !confirming;
        const answer = await act(id, body());
        told.push(`${server.status}/${facts.taskState ?? '-'} ${name} → ${answer.status}`);
        const history = told.join(', ');
        if (answer.status >= 500) throw new Error(`${history}: ${answer.text}`);
        if (settled) {
          const verdict = checkAction(name, facts, caller);
          const same = name === 'resize' && resized;
          if (name === 'evacuate' && verdict.ok) {
            // What is no matter of the table: every host is up.
            if (answer.status !== 400 || !answer.text.includes('is still in use'))
              throw new Error(`${history}: a live host was evacuated: ${answer.text}`);
          } else if (verdict.ok && !same && answer.status !== 202) throw new Error(`${history}: allowed by the table, but ${answer.text}`);
          if (verdict.ok) played.add(name);
          if (!verdict.ok && answer.status !== 409) throw new Error(`${history}: refused by the table with ${verdict.message}`);
          if (!verdict.ok && !answer.text.includes(verdict.message))
            throw new Error(`${history}: the words are ${answer.text}, not ${verdict.message}`);
        } else if (answer.status !== 202 && answer.status !== 409 && answer.status !== 400) throw new Error(`${history}: ${answer.text}`);
        if (step.awaited) {
          server = await until(
            `${history}: nothing came of it`,
            () => show(id),
            (seen) => idle(seen) && (name !== 'confirm-resize' || answer.status !== 202 || seen.status !== 'VERIFY_RESIZE'),
          );
          const { 'OS-EXT-STS:vm_state': vm, 'OS-EXT-STS:power_state': powerState } = server;
          if (name === 'shelve' && answer.status === 202 && vm !== 'shelved') throw new Error(`${history}: ${vm}, not shelved`);
          if (power[vm]?.includes(powerState) !== true) throw new Error(`${history}: ${vm} with the power state ${powerState}`);
        } else server = await show(id);
        if (name === 'confirm-resize' && answer.status === 202) confirming = true;
        if (server['OS-EXT-STS:vm_state'] !== 'resized') confirming = false;
        const status = serverStatus(server['OS-EXT-STS:vm_state'], server['OS-EXT-STS:task_state']);
        if (server.status !== status) throw new Error(`${history}: shown as ${server.status}, which is ${status}`);
      }
      if (end.rested) await until(`${told.join(', ')}: it did not come to rest`, () => show(id), idle);
      const deleted = await (end.forced
        ? act(id, { forceDelete: null })
        : answerOf(cloud.client.request('compute', 'DELETE', `/servers/${id}`)));
      told.push(`${end.forced ? 'force-delete' : 'delete'} → ${deleted.status}`);
      if (deleted.status !== 202) throw new Error(`${told.join(', ')}: ${deleted.text}`);
      const left = (): Promise<Server | null> =>
        show(id).catch((error: unknown) => (error instanceof ApiFailure && error.status === 404 ? null : Promise.reject(error)));
      let rest = await left();
      for (const action of end.more) {
        if (rest !== null && rest['OS-EXT-STS:task_state'] !== 'deleting')
          throw new Error(`${told.join(', ')}: it is ${rest.status}/${rest['OS-EXT-STS:task_state']}`);
        const [name, body] = actionAt(action);
        const answer = await act(id, body());
        told.push(`${name} → ${answer.status}`);
        // It may have gone meanwhile; once gone it stays so.
        const expected = rest === null ? 404 : checkAction(name, factsOf(rest), caller).ok ? 202 : 409;
        if (answer.status !== expected && answer.status !== 404) throw new Error(`${told.join(', ')}, not ${expected}: ${answer.text}`);
        rest = await left();
      }
    };
    let index = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(anyLife, { minLength: 6, maxLength: 6 }), async (sequences) => {
        await Promise.all(sequences.map((sequence) => play((index += 1), sequence)));
        await until('not all were deleted', all, (left) => left.length === 0);
        // Nothing is held or run for servers that are gone.
        expect([...(await ledger()).values()].every((held) => held.size === 0)).toBe(true);
        await until('agents still run something', running, (seen) => [...seen.values()].every((guests) => guests.size === 0));
        // Images that were asked for are whole, or gone when their server was deleted meanwhile; none waits for its data, and what a server was shelved as goes with it.
        const made = await until('images wait', images, (found) => found.every(({ status }) => status === 'active'));
        for (const { id, name } of made.filter(({ id }) => id !== cloud.imageId)) {
          expect(name).toBe('of a sequence');
          await cloud.client.request('image', 'DELETE', `/v2/images/${id}`);
        }
      }),
      // Shrinking would play every sequence again.
      { numRuns: 3, examples: [[[...lives]]], endOnFailure: true },
    );
    expect(actions.map(([name]) => name).filter((name) => !played.has(name))).toEqual([]);
  });

  it('scripts with openstacksdk create, move live and cold, confirm and revert', { timeout: 120_000 }, async () => {
    const { authUrl, userName, password, projectName } = cloud.admin;
    const script = `
import openstack, sys, time
c = openstack.connect(auth=dict(auth_url=${JSON.stringify(authUrl)}, username=${JSON.stringify(userName)}, password=${JSON.stringify(password)}, project_name=${JSON.stringify(projectName)}, user_domain_name="Default", project_domain_name="Default"), region_name="RegionOne")
s = c.compute.create_server(name="sdk", image_id=${JSON.stringify(cloud.imageId)}, flavor_id=${JSON.stringify(cloud.flavorId)}, networks=[dict(uuid=${JSON.stringify(cloud.networkId)})])
# The SDK's own wait looks first at the object it was given, which still says ACTIVE: it would return at once.
def settled(status):
    deadline = time.monotonic() + 40
    while True:
        now = c.compute.get_server(s.id)
        if now.task_state is None and now.status == status:
            return now.compute_host
        if time.monotonic() > deadline or now.status == "ERROR":
            sys.exit(f"{now.status} {now.task_state}, not {status}")
        time.sleep(0.1)
first = settled("ACTIVE")
c.compute.live_migrate_server(s, host=None, block_migration="auto")
second = settled("ACTIVE")
assert second != first, (first, second)
c.compute.migrate_server(s)
third = settled("VERIFY_RESIZE")
assert third != second
c.compute.revert_server_resize(s)
assert settled("ACTIVE") == second
c.compute.migrate_server(s)
fourth = settled("VERIFY_RESIZE")
assert fourth != second
c.compute.confirm_server_resize(s)
assert settled("ACTIVE") == fourth
found = [m["status"] for m in c.compute.get(f"/os-migrations?instance_uuid={s.id}").json()["migrations"]]
assert sorted(found) == ["completed", "confirmed", "reverted"], found
try:
    c.compute.confirm_server_resize(s)
    sys.exit("confirmed twice")
except openstack.exceptions.ConflictException as e:
    assert "while it is in vm_state active" in str(e), e
assert len([h for h in c.compute.hypervisors(details=True)]) == ${hosts}
assert len([one for one in c.compute.services() if one.binary == "nova-compute"]) == ${hosts}
c.compute.delete_server(s)
c.compute.wait_for_delete(s, interval=1, wait=60)
print("done")
`;
    const { stdout } = await run('/usr/bin/python3', ['-W', 'ignore', '-c', script], {
      timeout: 110_000,
      env: { PATH: process.env['PATH'], HOME: cloud.directory },
    });
    expect(stdout.trim()).toBe('done');
  });

  it('a move is one trace: the request, its workflow at the controller, and what the agents of both hosts do for it', async () => {
    const id = await newServer('traced');
    await until('not created', () => show(id), idle);
    await act(id, { 'os-migrateLive': { host: null, block_migration: 'auto' } });
    const [move] = await until(
      'it has not moved',
      async () =>
        (
          await cloud.client.request<{
            readonly migrations: readonly { readonly requestId?: string; readonly id: string; readonly finishedAt: string | null }[];
          }>('godwit', 'GET', `/migrations?server=${id}`)
        ).migrations,
      (moves) => moves.some(({ finishedAt }) => finishedAt !== null),
    );
    const { migration } = await cloud.client.request<{ readonly migration: { readonly requestId: string } }>(
      'godwit',
      'GET',
      `/migrations/${move?.id ?? ''}`,
    );
    const ofMove = () => spans.filter(({ requestId }) => requestId === migration.requestId);
    await until(
      'the spans did not arrive',
      async () => ofMove().map(({ service, name }) => `${service} ${name}`),
      (seen) =>
        [
          'godwit-controller POST /compute',
          'godwit-controller workflow live-migrate',
          'godwit-agent rpc PrepareIncoming',
          'godwit-agent rpc DropOutgoing',
        ].every((one) => seen.includes(one)),
    );
    expect(new Set(ofMove().map(({ traceId }) => traceId)).size).toBe(1);
    // Each is under the one that called it, back to the request.
    const bySpan = new Map(ofMove().map((span) => [span.spanId, span]));
    const above = (span: Span | undefined): readonly string[] =>
      span === undefined ? [] : [span.name, ...above(bySpan.get(span.parentSpanId ?? ''))];
    expect(above(ofMove().find(({ name }) => name === 'rpc PrepareIncoming'))).toEqual([
      'rpc PrepareIncoming',
      'agent PrepareIncoming',
      'workflow live-migrate',
      'POST /compute',
    ]);
    await cloud.client.request('compute', 'DELETE', `/servers/${id}`);
    await until('not deleted', all, (left) => left.length === 0);
  });

  // The last one: it kills the controller of the others.
  it('two controllers on one database: one is killed in the middle of twenty migrations, and all of them end as they should', {
    timeout: 120_000,
  }, async () => {
    const other = await cloud.another('controller-2');
    const client = await signIn({ ...cloud.admin, authUrl: `${other.publicUrl}/identity/v3` });
    const get = async <Answer>(service: 'compute' | 'godwit', at: string): Promise<Answer> => client.request<Answer>(service, 'GET', at);
    const servers = async () => (await get<{ readonly servers: readonly Server[] }>('compute', '/servers/detail')).servers;
    const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => newServer(`k${index}`)));
    const before = await until('not all were created', servers, (seen) => seen.length === 20 && seen.every(idle));
    expect(new Set(before.map(({ status }) => status))).toEqual(new Set(['ACTIVE']));
    // Slow enough to be under way when the controller dies: its guest writes 20 MB a second, so that 64 MiB take five seconds.
    const body = { maxBandwidthBytes: 33_000_000 };
    await Promise.all(
      ids.map((id, index) =>
        (index % 2 === 0 ? client : cloud.client).request('godwit', 'POST', `/servers/${id}/live-migrations`, { body }),
      ),
    );
    type Move = {
      readonly serverId: string;
      readonly status: string;
      readonly phase: string;
      readonly finishedAt: string | null;
      readonly outcome: { readonly cause: string | null } | null;
    };
    const moves = async () =>
      (await get<{ readonly migrations: readonly Move[] }>('godwit', '/migrations')).migrations.filter(({ serverId }) =>
        ids.includes(serverId),
      );
    await until(
      'none was under way',
      moves,
      (seen) =>
        seen.filter(({ phase }) => phase === 'copying').length >= 4 && seen.filter(({ finishedAt }) => finishedAt === null).length > 4,
    );
    process.kill(cloud.pids.controller, 'SIGKILL');
    const ended = await until('not all ended', moves, (seen) => seen.every(({ finishedAt }) => finishedAt !== null), 60_000);
    expect(ended.map(({ status, outcome }) => `${status} ${outcome?.cause ?? ''}`)).toEqual(Array(20).fill('completed '));
    const after = await until('not all came to rest', servers, (seen) => seen.every(idle));
    for (const server of after) {
      expect(server.status).toBe('ACTIVE');
      expect([server.name, server['OS-EXT-SRV-ATTR:host']]).not.toEqual([
        server.name,
        before.find(({ id }) => id === server.id)?.['OS-EXT-SRV-ATTR:host'],
      ]);
    }
    // One claim each, where it is; and there it runs, and nowhere else.
    const expected = new Map<string, Set<string>>();
    for (const { id, 'OS-EXT-SRV-ATTR:host': host } of after) expected.set(host ?? '', (expected.get(host ?? '') ?? new Set()).add(id));
    const held = await ledger(client);
    expect(
      sorted(new Map([...held].filter(([, claims]) => claims.size > 0).map(([host, claims]) => [host, new Set(claims.keys())]))),
    ).toEqual(sorted(expected));
    const guests = await until(
      'not only where they belong',
      running,
      (seen) => [...seen.values()].reduce((sum, one) => sum + one.size, 0) === 20,
    );
    expect(sorted(new Map([...guests].filter(([, one]) => one.size > 0)))).toEqual(sorted(expected));
    expect((await get<{ readonly problems: readonly object[] }>('godwit', '/stuck')).problems).toEqual([]);
  });
});

const sorted = (held: ReadonlyMap<string, ReadonlySet<string>>) =>
  [...held].map(([host, servers]) => [host, [...servers].sort()] as const).sort(([a], [b]) => a.localeCompare(b));

type Span = {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly requestId: string;
};
type Attribute = { readonly key: string; readonly value: { readonly stringValue?: string } };
type Exported = {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<Span, 'service' | 'requestId'> & { readonly attributes: readonly Attribute[] })[];
    }[];
  }[];
};

/** The spans of one OTLP request in JSON. */
function spansOf(text: string): readonly Span[] {
  const value = (attributes: readonly Attribute[], key: string): string =>
    attributes.find((one) => one.key === key)?.value.stringValue ?? '';
  return (JSON.parse(text) as Exported).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map(({ attributes, ...span }) => ({
        ...span,
        service: value(resource.attributes, 'service.name'),
        requestId: value(attributes, 'godwit.request_id'),
      })),
    ),
  );
}
