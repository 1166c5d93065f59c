import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { allCommands } from '@godwit/cli/all-commands';
import { runProgram } from '@godwit/cli/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, godwit, type Lab, labUp } from './lab-harness.ts';

const run = promisify(execFile);

type Ran = { readonly code: number; readonly out: string; readonly err: string };

/** What a running cloud changes between two looks: never compared by value. */
const moving = new Set([
  'Updated At',
  'updated_at',
  'updated',
  'load_average',
  'host_time',
  'uptime',
  'users',
  'Service Status',
  // What the file systems of the pools have left, which others use too.
  'disk_available_least',
  'hours',
  'RAM MB-Hours',
  'CPU Hours',
  'Disk GB-Hours',
]);

/** Lists that say everything about the cloud's resources, and one thing of each kind. */
const commands = [
  'server list',
  'server list --long',
  'server list --all-projects',
  'server list --name cli-1 --status ACTIVE -c ID -c Host',
  'server show cli-1',
  'server event list cli-1 --long',
  'server migration list',
  'server migration list --server cli-1',
  'server group list --long',
  'server group show cli-group',
  'host list',
  'host show node1',
  'hypervisor list --long',
  'hypervisor show node1',
  'hypervisor stats show',
  'compute service list --long',
  'aggregate list --long',
  'aggregate show cli-aggregate',
  'availability zone list',
  'availability zone list --long',
  'flavor list --all --long',
  'flavor list --all --sort-column RAM --sort-column Name --sort-descending -c Name -c RAM',
  'flavor show demo.local',
  'image list --long',
  'image show godwit-demo',
  'network list --long',
  'network show demo',
  'subnet list --long',
  'port list',
  'port list --server cli-1',
  'security group list',
  'security group rule list',
  'keypair list',
  'project list --long',
  'project show admin',
  'user list --long',
  'user show admin',
  'role list',
  'role show admin',
  'role assignment list --names',
  'role assignment list --user admin --user-domain default --project admin --project-domain default --names',
  'usage list',
  'usage show --project demo',
  'limits show --absolute --project admin',
  'image member list godwit-demo',
  'domain show default',
  'endpoint list --service compute --interface public',
  'catalog list',
  'catalog show compute',
];

/** The `godwit` client beside Debian's `openstack` on one cloud: the same words, the same output. */
describe('the godwit client', () => {
  let lab: Lab;
  const cli = async (commandLine: string, as: 'admin' | 'demo' = 'admin'): Promise<Ran> => {
    const openrc = path.join(lab.dir, as === 'admin' ? 'openrc.sh' : 'openrc-demo.sh');
    try {
      // Tokens are kept where no other command of this machine finds them.
      const env = { ...process.env, XDG_RUNTIME_DIR: lab.dir };
      const { stdout, stderr } = await run('bash', ['-c', `source "$0" && "$1" ${commandLine}`, openrc, godwit], { timeout: 120_000, env });
      return { code: 0, out: stdout, err: stderr };
    } catch (error) {
      const failed = error as { readonly code?: number; readonly stdout?: string; readonly stderr?: string };
      return { code: failed.code ?? -1, out: failed.stdout ?? '', err: failed.stderr ?? '' };
    }
  };

  /** The same client within this process: what it prints is compared fifty times, and starting it is no part of that. */
  let environment: Readonly<Record<string, string>>;
  const inProcess = async (commandLine: string): Promise<Ran> => {
    const written = { out: '', err: '' };
    const terminal = {
      out: (text: string) => void (written.out += text),
      err: (text: string) => void (written.err += text),
      isTerminal: false,
      columns: 80,
      env: environment,
      interrupted: new AbortController().signal,
    };
    return { code: await runProgram(await allCommands(), commandLine.split(' '), terminal), ...written };
  };

  beforeAll(async () => {
    lab = await labUp(2);
    const { stdout } = await run('env', ['-i', 'bash', '-c', 'source "$0" && env -0', path.join(lab.dir, 'openrc.sh')]);
    environment = Object.fromEntries(
      stdout.split('\0').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    await cli('server group create --policy anti-affinity cli-group');
    await cli('aggregate create --property kind=fast cli-aggregate');
    await cli('aggregate add host cli-aggregate node1');
    const made = await cli(
      'server create --image godwit-demo --flavor demo.tiny --network demo --property made=here --hint group=$("$1" server group show cli-group -f value -c id) --wait cli-1',
    );
    expect([made.code, made.err]).toEqual([0, '']);
  }, 240_000);
  afterAll(() => lab?.down(), 90_000);

  it.each(commands)(
    'prints for `%s` what the openstack command prints',
    async (commandLine) => {
      const [theirs, ours] = await Promise.all([lab.openstack(`${commandLine} -f json`), inProcess(`${commandLine} -f json`)]);
      expect(ours.err).toBe('');
      expect(steady(JSON.parse(ours.out))).toEqual(steady(JSON.parse(theirs)));
    },
    60_000,
  );

  it.each(['table', 'csv', 'value', 'yaml'])(
    'writes %s as the openstack command does',
    async (format) => {
      const [theirs, ours] = await Promise.all([
        lab.openstack(`flavor list --all -f ${format}`),
        inProcess(`flavor list --all -f ${format}`),
      ]);
      expect(ours.out.trim()).toBe(theirs);
    },
    60_000,
  );

  it('explains every host and would go somewhere, and nothing moves', async () => {
    const before = (await cli('server show cli-1 -f value -c OS-EXT-SRV-ATTR:host')).out.trim();
    const explained = await cli('server migrate --live-migration --explain cli-1');
    expect(explained.code).toBe(0);
    expect(explained.out).toContain('metal1');
    expect(explained.out).toMatch(/cli-1 would go to node[12]\.\n$/);
    const there = await cli(`server migrate --live-migration --dry-run --host ${before} cli-1`);
    expect(there).toMatchObject({ code: 1 });
    expect(there.out).toContain(`cli-1 cannot go to ${before}:`);
    expect((await cli('server show cli-1 -f value -c OS-EXT-SRV-ATTR:host')).out.trim()).toBe(before);
    expect((await cli('server migration list --server cli-1 -f json')).out).toBe('[]\n');
  }, 120_000);

  it('moves a server with --wait and says where it runs and how long it stood still', async () => {
    const moved = await cli('server migrate --live-migration --wait cli-1');
    expect(moved).toMatchObject({ code: 0 });
    expect(moved.out).toMatch(/cli-1 runs on node[12] after a blackout of \d+ ms \(± \d+\.\d ms\)\.\n$/);
    // Which of them it sees depends on how fast the machine is.
    expect(moved.out).toMatch(/^cli-1: (scheduling|queued|preparing|copying|switchover|committing)/m);
  }, 120_000);

  it('plugs and unplugs interfaces with the words of the openstack command, and prints the same', async () => {
    const ours = async (line: string): Promise<string> => {
      const ran = await inProcess(line);
      expect([line, ran.code, ran.err]).toEqual([line, 0, '']);
      return ran.out.trim();
    };
    // The port's id, its MAC and its address are each client's own.
    const shape = (text: string) => {
      const made = JSON.parse(text) as Record<string, unknown>;
      const own = made['Fixed IPs'] as readonly { readonly subnet_id: string; readonly ip_address: string }[];
      return { ...made, 'Port ID': '', 'MAC Address': '', 'Fixed IPs': own.map((each) => ({ ...each, ip_address: '' })) };
    };
    await ours('network create cli-net -f value -c id');
    await ours('subnet create --network cli-net --subnet-range 192.0.2.0/26 cli-subnet -f value -c id');
    await ours('port create --network cli-net cli-nic -f value -c id');
    const [theirs, mine] = [
      await lab.openstack('server add fixed ip --tag one cli-1 cli-net -f json'),
      await ours('server add fixed ip --tag one --fixed-ip-address 192.0.2.9 cli-1 cli-net -f json'),
    ];
    expect(shape(mine)).toEqual(shape(theirs));
    expect(mine).toContain('192.0.2.9');
    await ours('server add port --tag two cli-1 cli-nic');
    await ours('server add network cli-1 cli-net');
    const count = async (): Promise<number> =>
      (JSON.parse(await ours('port list --server cli-1 --network cli-net -f json')) as unknown[]).length;
    expect(await count()).toBe(4);
    await ours('server remove port cli-1 cli-nic');
    await eventually(count, (left) => left === 3, 30_000);
    await eventually(
      async () => ours('server show cli-1 -f value -c OS-EXT-STS:task_state'),
      (task) => task === 'None',
      30_000,
    );
    const kept = await inProcess('server remove fixed ip cli-1 192.0.2.9');
    expect(kept).toMatchObject({ code: 1, err: expect.stringContaining('godwit server remove port') });
    await ours('port delete cli-nic');
    await ours('security group create cli-open -f value -c id');
    await ours('security group set --description more --name cli-wide cli-open');
    const groupsOf = async () => lab.openstack('server show cli-1 -f json -c security_groups');
    await ours('server add security group cli-1 cli-wide');
    expect(await groupsOf()).toContain('cli-wide');
    await ours('server remove security group cli-1 cli-wide');
    expect(await groupsOf()).not.toContain('cli-wide');
  }, 120_000);

  it('follows a move by its request’s id through controller, agents and audit log, into one file', async () => {
    const [move] = JSON.parse((await cli('migration list --server cli-1 -f json')).out) as readonly {
      readonly ID: string;
      readonly From: string;
      readonly To: string;
    }[];
    const file = path.join(lab.dir, 'bundle.json');
    expect(await cli(`doctor --bundle ${move?.ID} --output ${file}`)).toMatchObject({ code: 0, err: '' });
    const bundle = JSON.parse(await readFile(file, 'utf8')) as {
      readonly requestIds: readonly string[];
      readonly missing: readonly unknown[];
      readonly migrations: readonly { readonly timeline: readonly unknown[] }[];
      readonly logs: readonly { readonly of: string; readonly name: string; readonly lines: readonly string[] }[];
    };
    const [requestId = ''] = bundle.requestIds;
    expect(bundle.missing).toEqual([]);
    expect(bundle.migrations[0]?.timeline.length).toBeGreaterThan(5);
    const ordered = (host = ''): readonly string[] =>
      bundle.logs
        .filter((log) => log.of === host && log.name === 'agent')
        .flatMap(({ lines }) => lines.map((line) => JSON.parse(line) as { readonly requestId?: string; readonly rpc?: string }))
        .filter((line) => line.requestId === requestId)
        .flatMap(({ rpc }) => (rpc === undefined ? [] : [rpc]));
    expect(ordered(move?.From)).toEqual(expect.arrayContaining(['StartOutgoing', 'DropOutgoing']));
    expect(ordered(move?.To)).toEqual(expect.arrayContaining(['PrepareIncoming', 'FinishIncoming']));
    expect(bundle.logs.find(({ name }) => name === 'controller')?.lines.some((line) => line.includes(requestId))).toBe(true);
    const audit = JSON.parse((await cli(`audit list --request ${requestId} -f json`)).out) as readonly {
      readonly Action: string;
      readonly User: string;
    }[];
    expect(audit.map(({ Action, User }) => `${User}: ${Action}`)).toEqual(
      expect.arrayContaining([
        'admin: live-migration completed',
        'admin: live-migration accepted',
        expect.stringContaining('admin: POST '),
      ]),
    );
    const examined = await cli('doctor');
    expect(examined.out).toMatch(/ok {7}hosts: All \d hosts are heard from\./);
    expect(examined).toMatchObject({ code: 0 });
    expect((await cli('doctor', 'demo')).code).toBe(1);
  }, 120_000);

  it('tells the truth about a move that did not happen, where --wait of others prints Complete', async () => {
    const host = (await cli('server show cli-1 -f value -c OS-EXT-SRV-ATTR:host')).out.trim();
    const refused = await cli(`server migrate --live-migration --wait --host ${host} cli-1`);
    expect(refused.code).toBe(4);
    expect(refused.err).toContain('NoValidHost');
    expect(refused.err).toContain(`The guest runs on ${host}`);
  }, 120_000);

  it('runs every code block of docs/live-migration.md, in its order', async () => {
    for (const [name, flavor] of [
      ['web', 'demo.tiny'],
      ['db', 'demo.local'],
    ])
      expect(await cli(`server create --image godwit-demo --flavor ${flavor} --network demo --wait ${name}`)).toMatchObject({ code: 0 });
    const guide = await readFile(new URL('../docs/live-migration.md', import.meta.url), 'utf8');
    const blocks = [...guide.matchAll(/^```(\w*)\n(.*?)^```/gms)].map(([, language, text = '']) => ({ language, text }));
    expect(blocks.length).toBeGreaterThan(8);
    expect(blocks.filter(({ language }) => language !== 'bash')).toEqual([]);
    // One shell for all, as a reader has: what one block sets the next one uses. It says which block it was that failed.
    const script = blocks.map(({ text }, index) => `echo "--- block ${index}" >&2\n${text}`).join('\n');
    const env = { ...process.env, ...environment, XDG_RUNTIME_DIR: lab.dir, PATH: `${path.dirname(godwit)}:${process.env['PATH'] ?? ''}` };
    const ran = await run('bash', ['-euo', 'pipefail', '-c', script], { env, timeout: 300_000 }).catch(
      (error: Error & { readonly stdout: string; readonly stderr: string }) => {
        throw new Error(`the guide's commands failed: ${error.stderr}\n${error.stdout}`);
      },
    );
    expect(ran.stdout).toContain('runs on node');
    const moved = JSON.parse((await cli('migration list -f json')).out) as readonly {
      readonly Server: string;
      readonly Type: string;
      readonly Status: string;
    }[];
    const ended = moved.map(({ Server, Type, Status }) => `${Server} ${Type} ${Status}`);
    for (const one of ['web live-migration completed', 'db live-migration completed', 'web migration reverted', 'web migration confirmed'])
      expect(ended).toContain(one);
  }, 360_000);

  it('makes ports, security groups, images of servers and rebuilds, and says why there are no volumes', async () => {
    const done = async (line: string): Promise<string> => {
      const ran = await inProcess(line);
      expect([line, ran.code, ran.err]).toEqual([line, 0, '']);
      return ran.out.trim();
    };
    await done('security group create cli-web');
    expect(
      JSON.parse(await done('security group rule create --protocol tcp --dst-port 80:443 --remote-ip 192.0.2.0/24 cli-web -f json')),
    ).toMatchObject({
      direction: 'ingress',
      port_range_min: 80,
      port_range_max: 443,
      remote_ip_prefix: '192.0.2.0/24',
    });
    const [subnet] = JSON.parse(await done('subnet list -f json')) as readonly { readonly Name: string; readonly Subnet: string }[];
    const address = (subnet?.Subnet ?? '').replace(/\.\d+\/\d+$/, '.77');
    const mac = '52:54:00:12:34:56';
    const port = JSON.parse(
      await done(
        `port create --network demo --mac-address ${mac} --fixed-ip subnet=${subnet?.Name},ip-address=${address} --security-group cli-web cli-port -f json`,
      ),
    ) as object;
    expect(port).toMatchObject({ mac_address: mac, status: 'DOWN', fixed_ips: [{ ip_address: address }] });
    await done('port set --name cli-port-2 cli-port');
    await done('quota set --instances 50 demo');
    expect(await done('quota show demo -f value -c instances')).toBe('50');
    expect(JSON.parse(await done('server image create --name cli-image --wait cli-1 -f json'))).toMatchObject({
      name: 'cli-image',
      status: 'active',
    });
    expect(JSON.parse(await done('server rebuild --image cli-image --wait cli-1 -f json'))).toMatchObject({
      name: 'cli-1',
      status: 'ACTIVE',
    });
    await done('image set --deactivate --hidden --os-distro godwit cli-image');
    expect(JSON.parse(await lab.openstack('image show cli-image -f json'))).toMatchObject({
      status: 'deactivated',
      properties: { os_hidden: true, os_distro: 'godwit' },
    });
    await done('image set --activate --unhidden cli-image');
    expect(await done('image show cli-image --human-readable -f value -c size -c status')).toMatch(/^\d[\d.]*[KMG]\nactive$/);
    // As docs/existing-vms.md has it: a disk as a file, and a port with the MAC and address that the machine had.
    const file = path.join(lab.dir, 'vm.qcow2');
    await done(`image save --file ${file} cli-image`);
    await done(`image create --disk-format qcow2 --container-format bare --file ${file} cli-vm-image -f value -c id`);
    await done(
      'flavor create --ram 96 --disk 1 --vcpus 1 --property godwit:max_vcpus=2 --property godwit:max_ram_mib=224 cli-scalable -f value -c id',
    );
    await done('server create --image cli-vm-image --flavor cli-scalable --port cli-port-2 --wait cli-vm -f value -c id');
    expect(await done('server show cli-vm -f json -c addresses')).toContain(`"${address}"`);
    expect(JSON.parse(await done('port list --server cli-vm -f json'))).toMatchObject([{ 'MAC Address': mac, Status: 'ACTIVE' }]);
    expect(await done('server list --project admin --project-domain default --name cli-vm -f value -c Status')).toBe('ACTIVE');
    // Given vCPUs while it runs, it takes them along.
    await done('server scale --vcpus 2 --wait cli-vm');
    await done('server migrate --live-migration --wait cli-vm');
    expect(JSON.parse(await lab.openstack('server show cli-vm -f json -c flavor'))).toMatchObject({ flavor: { vcpus: 2 } });
    expect((await inProcess('server scale --vcpus 3 cli-vm')).err).toContain('lets its servers have 1 to 2 vCPUs, not 3');
    expect((await inProcess('server scale --ram 226 cli-vm')).err).toContain('lets its servers have 96 to 224 MiB of memory, not 226');
    expect((await inProcess('server scale --vcpus 1 cli-vm')).err).toContain('none is taken from a guest that runs');
    expect((await inProcess('server list --project admin --project-domain nosuch')).err).toContain(
      "No domain with a name or ID of 'nosuch'",
    );
    await done('server delete --wait cli-vm');
    const alive = await inProcess('server evacuate cli-1');
    expect(alive.code).toBe(1);
    expect(alive.err).toContain('(HTTP 4');
    await done('flavor create --ram 96 --disk 0 --vcpus 1 --property hw:cpu_policy=dedicated cli-pinned -f value -c id');
    const pinned = await inProcess('server create --image godwit-demo --flavor cli-pinned --network demo cli-2');
    expect(pinned.code).toBe(1);
    expect(pinned.err).toContain('hw:cpu_policy=dedicated would not be kept: CPUs are not pinned');
    expect((await inProcess('volume list')).err).toContain('Godwit has no volumes');
  }, 180_000);

  it('refuses with one sentence, what to do next, and the documented exit code', async () => {
    const unknown = await cli('server show nosuch');
    expect(unknown).toEqual({
      code: 1,
      out: '',
      err: "No server with a name or ID of 'nosuch' exists.\n`godwit server list` shows what there is.\n",
    });
    expect((await cli('server list --limit many')).code).toBe(2);
    expect((await cli('server frobnicate')).code).toBe(2);
    expect((await cli('server list --os-password wrong')).code).toBe(3);
    expect((await cli('server list --os-auth-url http://127.0.0.1:1/identity/v3')).code).toBe(3);
    const unsafe = await cli('flavor set --property godwit:post_copy_allowed=true demo.tiny');
    expect([unsafe.code, unsafe.out]).toEqual([1, '']);
    expect(unsafe.err).toContain('Post-copy is off: ');
    const forbidden = await cli('hypervisor list', 'demo');
    expect(forbidden.code).toBe(1);
    expect(forbidden.err).toContain('(HTTP 403)');
  }, 120_000);
});

function steady(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(steady);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, moving.has(key) ? typeof inner : steady(inner)]));
}
