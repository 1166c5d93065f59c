import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Lab, labUp } from './lab-harness.ts';

type Shown = { readonly id: string; readonly status: string; readonly 'OS-EXT-SRV-ATTR:host': string };
type Listed = { readonly Id: number; readonly Status: string; readonly 'Dest Compute': string | null };
type Action = { readonly Action: string; readonly 'Request ID': string };
type ShownEvent = { readonly events: readonly { readonly event: string; readonly result: string; readonly details: string | null }[] };
type Group = {
  readonly serverGroup: {
    readonly members: readonly { readonly name: string; readonly host: { readonly name: string } | null }[];
    readonly violations: readonly { readonly sentence: string }[];
  };
};

type Fleet = {
  readonly operation: {
    readonly id: string;
    readonly state: string;
    readonly finishedAt: string | null;
    readonly counts: Readonly<Record<string, number>>;
    readonly hosts: readonly object[];
  };
};

/** Server groups with Debian's client, as an operator types it: what a rule refuses, why, and the way around it. */
describe('server groups through Debian’s openstack client', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await labUp();
  }, 240_000);
  afterAll(() => lab?.down(), 90_000);

  const create = async (name: string, group: string): Promise<Shown> => {
    await lab.openstack(`server create --image godwit-demo --flavor demo.tiny --network demo --hint group=${group} --wait ${name}`);
    return show(name);
  };
  const show = (name: string): Promise<Shown> => lab.openstackJson<Shown>(`server show ${name}`);
  const hostOf = (server: Shown): string => server['OS-EXT-SRV-ATTR:host'];
  const groupOf = async (policy: string, name: string, more = ''): Promise<string> =>
    (
      await lab.openstackJson<{ readonly id: string }>(
        `--os-compute-api-version 2.64 server group create --policy ${policy} ${more} ${name}`,
      )
    ).id;

  /** Live-migrates as the operator does and waits for the record's end; `version` decides how a host is named. */
  const migrate = async (server: Shown, host: string | null, version = '2.34'): Promise<Listed> => {
    const before = await migrations(server);
    const to = host === null ? '' : `--host ${host}`;
    await lab.openstack(`--os-compute-api-version ${version} server migrate --live-migration ${to} ${server.id}`);
    const after = await eventually(
      () => migrations(server),
      (rows) => rows.length > before.length && /^(completed|error|failed)$/.test(rows[0]?.Status ?? ''),
      90_000,
    );
    const [newest] = after;
    if (newest === undefined) throw new Error('no migration was recorded');
    return newest;
  };
  const migrations = (server: Shown): Promise<readonly Listed[]> =>
    lab.openstackJson<readonly Listed[]>(`server migration list --server ${server.id}`);
  /** The events of the newest live migration, as an admin at 2.84 sees them. */
  const newestEvents = async (server: Shown): Promise<ShownEvent['events']> => {
    const [action] = await lab.openstackJson<readonly Action[]>(`server event list ${server.id}`);
    const shown = await lab.openstackJson<ShownEvent>(
      `--os-compute-api-version 2.84 server event show ${server.id} ${action?.['Request ID'] ?? ''}`,
    );
    return shown.events;
  };
  const why = async (server: Shown): Promise<string> =>
    (await newestEvents(server)).find(({ event }) => event === 'conductor_live_migrate_instance')?.details ?? '';

  /** Godwit's own API with a token of Debian's client. */
  const godwitApi = async (
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    sent?: object,
  ): Promise<{ readonly status: number; readonly body: unknown }> => {
    const token = await lab.openstack('token issue -f value -c id');
    const answer = await fetch(`${lab.url}/godwit/v1${path}`, {
      method,
      headers: { 'x-auth-token': token, ...(sent === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
  };
  const groupView = async (id: string): Promise<Group['serverGroup']> =>
    ((await godwitApi('GET', `/server-groups/${id}`)).body as Group).serverGroup;

  it('anti-affinity: no move onto the host of another member; the event says why; the override moves it and shows the violation', async () => {
    const group = await groupOf('anti-affinity', 'apart');
    const [first, second] = [await create('apart1', group), await create('apart2', group)];
    expect(hostOf(first)).not.toBe(hostOf(second));

    const refused = await migrate(first, hostOf(second));
    expect(refused).toMatchObject({ Status: 'error' });
    expect(await show('apart1')).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': hostOf(first) });
    expect(await why(first)).toContain('anti-affinity: server apart2 of group apart runs here');
    // Below 2.34 the answer itself says no; below 2.30 a named host skips the scheduler elsewhere, and not here. The client names none below 2.30, so that is asked by hand.
    await expect(
      lab.openstack(`--os-compute-api-version 2.30 server migrate --live-migration --host ${hostOf(second)} ${first.id}`),
    ).rejects.toThrow(/No valid host was found.*HTTP 400/);
    const forced = await fetch(`${lab.url}/compute/v2.1/servers/${first.id}/action`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-auth-token': await lab.openstack('token issue -f value -c id'),
        'openstack-api-version': 'compute 2.25',
      },
      body: JSON.stringify({ 'os-migrateLive': { host: hostOf(second), block_migration: 'auto' } }),
    });
    expect([forced.status, await forced.text()]).toEqual([400, expect.stringContaining('No valid host was found.')]);

    expect((await godwitApi('DELETE', `/server-groups/${group}/members/${first.id}`)).status).toBe(204);
    expect(await migrate(first, hostOf(second))).toMatchObject({ Status: 'completed', 'Dest Compute': hostOf(second) });
    expect(await why(first)).toContain(`${hostOf(second)} was chosen`);
    expect((await groupView(group)).violations).toEqual([]);
    expect((await godwitApi('POST', `/server-groups/${group}/members/${first.id}`)).status).toBe(200);
    const view = await groupView(group);
    expect(view.violations).toMatchObject([{ sentence: `anti-affinity: apart1, apart2 run on ${hostOf(second)}, 1 per host at most` }]);
    expect(view.members.map(({ host }) => host?.name)).toEqual([hostOf(second), hostOf(second)]);
    expect(await show('apart1')).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': hostOf(second) });

    // The way out of the violation is an ordinary move, and the third host is the only one for it.
    expect(await migrate(first, null)).toMatchObject({ Status: 'completed' });
    expect((await groupView(group)).violations).toEqual([]);
  }, 400_000);

  it('a drained host is proven empty with the group intact, over a kill -9 of the controller; what left comes home', async () => {
    const [group] = (await lab.openstackJson<readonly { readonly ID: string; readonly Name: string }[]>('server group list')).filter(
      ({ Name }) => Name === 'apart',
    );
    const [first, second] = [await show('apart1'), await show('apart2')];
    const drained = hostOf(first);
    await lab.openstack(
      `--os-compute-api-version 2.74 server create --image godwit-demo --flavor demo.tiny --network demo --host ${drained} --wait off`,
    );
    await lab.openstack('server stop off');
    await eventually(
      () => show('off'),
      ({ status }) => status === 'SHUTOFF',
      60_000,
    );
    const begun = await godwitApi('POST', '/operations', { kind: 'maintenance', hosts: [drained], reason: 'memory exchange' });
    expect([begun.status, (begun.body as Fleet).operation.counts]).toMatchObject([202, { excluded: 0 }]);
    const { id } = (begun.body as Fleet).operation;
    const violated: unknown[] = [];
    const operation = async (): Promise<Fleet['operation'] | null> => {
      // The controller that was killed does not answer for a moment.
      const answer = await godwitApi('GET', `/operations/${id}`).catch(() => null);
      const view = await groupView(group?.ID ?? '').catch(() => null);
      violated.push(...(view?.violations ?? []));
      return answer?.status === 200 ? (answer.body as Fleet).operation : null;
    };
    await eventually(operation, (one) => (one?.counts['moving'] ?? 0) > 0, 60_000);
    await askSupervisor(lab.dir, { op: 'kill', process: 'controller' });
    const ended = await eventually(operation, (one) => one?.finishedAt !== null && one !== null, 120_000);
    expect(ended).toMatchObject({
      state: 'completed',
      hosts: [{ step: 'in-maintenance', proof: { servers: 0, claims: 0, guests: 0 } }],
      counts: { done: 2, failed: 0 },
    });
    expect(violated).toEqual([]);
    const [moved, off] = [await show('apart1'), await show('off')];
    expect([moved.status, off.status]).toEqual(['ACTIVE', 'SHUTOFF']);
    expect([hostOf(moved), hostOf(off)]).not.toContain(drained);
    expect(hostOf(moved)).not.toBe(hostOf(second));
    // The stopped one was moved without being started.
    const actions = await lab.openstackJson<readonly Action[]>(`server event list ${off.id}`);
    expect(actions.map(({ Action: action }) => action)).not.toContain('start');

    // On a busy machine the new controller may not have heard from every host yet: what is planned then leaves them out.
    await eventually(
      () => lab.openstackJson<readonly { readonly State: string }[]>('compute service list'),
      (services) => services.every(({ State: state }) => state === 'up'),
      60_000,
    );
    const home = (await godwitApi('POST', '/operations', { kind: 'restore', host: drained })).body as Fleet;
    await eventually(
      async () => (await godwitApi('GET', `/operations/${home.operation.id}`)).body as Fleet,
      (one) => one.operation.state === 'completed',
      120_000,
    );
    expect([hostOf(await show('apart1')), hostOf(await show('off'))]).toEqual([drained, drained]);
    await lab.openstack('server start off');
    await eventually(
      () => show('off'),
      ({ status }) => status === 'ACTIVE',
      60_000,
    );
    await lab.openstack('server delete --wait apart1 apart2 off');
  }, 400_000);

  it('affinity: members share a host and no single one leaves it', async () => {
    const group = await groupOf('affinity', 'together');
    const [first, second] = [await create('together1', group), await create('together2', group)];
    expect(hostOf(first)).toBe(hostOf(second));
    expect(await migrate(first, null)).toMatchObject({ Status: 'error' });
    expect(await why(first)).toContain(`affinity: server together2 of group together runs on ${hostOf(first)}`);
    expect(await show('together1')).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': hostOf(first) });
    await lab.openstack('server delete --wait together1 together2');
  }, 300_000);
});
