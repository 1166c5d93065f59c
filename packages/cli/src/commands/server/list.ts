import type { Cloud } from '../../cloud/cloud.ts';
import { find, findId } from '../../cloud/find.ts';
import type { Command, Input } from '../../command.ts';
import { CommandError } from '../../command-error.ts';
import { isObject, type Json, type JsonObject, objectAt, objectsAt, textAt } from '../../json.ts';
import { type Cell, dictionary, listOf } from '../../render/cell.ts';
import { BOOTED_FROM_VOLUME, networksOf, powerState } from '../../server-detail.ts';
import { idInDomain, projectDomain, userDomain } from '../in-domain.ts';

const powerStateNumbers: Readonly<Record<string, number>> = { pending: 0, running: 1, paused: 3, shutdown: 4, crashed: 6, suspended: 7 };

interface Column {
  readonly title: string;
  readonly cell: (server: JsonObject, names: Names) => Cell;
}

interface Names {
  readonly images: ReadonlyMap<string, string>;
  readonly flavors: ReadonlyMap<string, string>;
}

export const serverList: Command = {
  words: 'server list',
  summary: 'List servers',
  options: [
    { flags: '--reservation-id <reservation-id>', description: 'only servers of this reservation' },
    { flags: '--ip <ip-address-regex>', description: 'regular expression to match IP addresses' },
    { flags: '--ip6 <ip-address-regex>', description: 'regular expression to match IPv6 addresses' },
    { flags: '--name <name-regex>', description: 'regular expression to match names' },
    { flags: '--instance-name <server-name>', description: 'regular expression to match instance names (admin only)' },
    { flags: '--status <status>', description: 'search by status' },
    { flags: '--flavor <flavor>', description: 'search by flavor (name or ID)' },
    { flags: '--image <image>', description: 'search by image (name or ID)' },
    { flags: '--host <hostname>', description: 'search by host (admin only)' },
    { flags: '--all-projects', description: 'include all projects (admin only; also by ALL_PROJECTS)' },
    { flags: '--project <project>', description: 'search by project (admin only) (name or ID)' },
    projectDomain,
    { flags: '--user <user>', description: 'search by user (name or ID)' },
    userDomain,
    { flags: '--deleted', description: 'only deleted servers (admin only)' },
    { flags: '--availability-zone <zone>', description: 'search by availability zone' },
    { flags: '--key-name <key-name>', description: 'search by keypair' },
    { flags: '--config-drive', description: 'only servers with a config drive' },
    { flags: '--no-config-drive', description: 'only servers without a config drive' },
    { flags: '--progress <percent>', description: 'search by progress (%)', kind: 'integer' },
    { flags: '--vm-state <state>', description: 'search by vm_state' },
    { flags: '--task-state <state>', description: 'search by task_state' },
    { flags: '--power-state <state>', description: 'search by power_state', choices: Object.keys(powerStateNumbers) },
    { flags: '--long', description: 'list additional fields' },
    { flags: '-n, --no-name-lookup', description: 'skip the lookup of flavor and image names' },
    { flags: '--name-lookup-one-by-one', description: 'look names up as needed instead of all together' },
    { flags: '--marker <server>', description: 'the last server of the previous page' },
    { flags: '--limit <num-servers>', description: 'the largest number of servers; -1 for all', kind: 'integer' },
    { flags: '--changes-before <time>', description: 'only servers changed before a time (ISO 8601)' },
    { flags: '--changes-since <time>', description: 'only servers changed after a time (ISO 8601)' },
    { flags: '--locked', description: 'only locked servers' },
    { flags: '--unlocked', description: 'only unlocked servers' },
    { flags: '--tags <tag>', description: 'only servers with this tag, can be repeated', repeat: true },
    { flags: '--not-tags <tag>', description: 'only servers without this tag, can be repeated', repeat: true },
  ],
  output: 'list',
  run: async (cloud, input, terminal) => {
    const all = input.flag('all-projects') || ['1', 'true', 'yes', 'on'].includes((terminal.env.ALL_PROJECTS ?? '').toLowerCase());
    const query = await queryOf(cloud, input, all);
    const columns = columnsOf(cloud, input);
    const limit = input.integer('limit');
    const compute = await cloud.compute();
    const asNames = !input.flag('no-name-lookup');
    const [servers, names] = await Promise.all([
      limit === null || limit < 0
        ? compute.all('/servers/detail', 'servers', query)
        : compute.get('/servers/detail', { ...query, limit }).then((body) => objectsAt(body, 'servers')),
      asNames ? readNames(cloud, !cloud.supports(47)) : { images: new Map(), flavors: new Map() },
    ]);
    if (input.flag('long') && cloud.supports(16) && servers.some((each) => 'host_status' in each))
      columns.push({ title: 'Host Status', cell: (server) => textAt(server, 'host_status') });
    return { columns: columns.map((each) => each.title), rows: servers.map((server) => columns.map((each) => each.cell(server, names))) };
  },
};

async function queryOf(cloud: Cloud, input: Input, all: boolean): Promise<Readonly<Record<string, string | number | boolean | null>>> {
  const by = async (kind: 'project' | 'user' | 'flavor' | 'image') => {
    const given = input.text(kind);
    if (given === null) return null;
    return kind === 'project' || kind === 'user' ? idInDomain(cloud, input, kind, given) : findId(cloud, kind, given);
  };
  const [project, user, flavor, image] = await Promise.all([by('project'), by('user'), by('flavor'), by('image')]);
  const marker = input.text('marker');
  if (input.texts('tags').length > 0) cloud.require(26, 'support the --tag option');
  if (input.texts('not-tags').length > 0) cloud.require(26, 'support the --not-tag option');
  if (input.flag('locked')) cloud.require(73, 'support the --locked option');
  if (input.flag('unlocked')) cloud.require(73, 'support the --unlocked option');
  if (input.text('changes-before') !== null) cloud.require(66, 'support the --changes-before option');
  for (const name of ['changes-before', 'changes-since']) {
    const time = input.text(name);
    if (time !== null && Number.isNaN(Date.parse(time))) throw new CommandError(`Invalid ${name} value: ${time}`);
  }
  const power = input.text('power-state');
  return {
    reservation_id: input.text('reservation-id'),
    ip: input.text('ip'),
    ip6: input.text('ip6'),
    name: input.text('name'),
    instance_name: input.text('instance-name'),
    status: input.text('status'),
    host: input.text('host'),
    flavor,
    image,
    tenant_id: project,
    all_tenants: all || project !== null ? true : null,
    user_id: user,
    deleted: input.flag('deleted') ? true : null,
    'changes-before': input.text('changes-before'),
    'changes-since': input.text('changes-since'),
    availability_zone: input.text('availability-zone'),
    key_name: input.text('key-name'),
    config_drive: input.flag('config-drive') ? true : input.flag('no-config-drive') ? false : null,
    progress: input.integer('progress'),
    vm_state: input.text('vm-state'),
    task_state: input.text('task-state'),
    power_state: power === null ? null : (powerStateNumbers[power] ?? null),
    tags: input.texts('tags').join(',') || null,
    'not-tags': input.texts('not-tags').join(',') || null,
    locked: input.flag('locked') ? true : input.flag('unlocked') ? false : null,
    marker: marker === null ? null : input.flag('deleted') ? marker : textAt(await find(cloud, 'server', marker), 'id'),
  };
}

function columnsOf(cloud: Cloud, input: Input): Column[] {
  const field = (title: string, key: string): Column => ({ title, cell: (server) => server[key] ?? null });
  const long = input.flag('long');
  const columns: Column[] = [field('ID', 'id'), field('Name', 'name'), field('Status', 'status')];
  if (long) columns.push(taskState, power);
  columns.push({ title: 'Networks', cell: networksOf });
  if (long) columns.push({ title: 'Image Name', cell: imageName }, { title: 'Image ID', cell: imageId });
  else columns.push({ title: 'Image', cell: input.flag('no-name-lookup') ? imageId : imageName });
  if (cloud.supports(47)) columns.push({ title: 'Flavor', cell: (server) => textAt(objectAt(server, 'flavor'), 'original_name') });
  else if (long) columns.push({ title: 'Flavor Name', cell: flavorName }, { title: 'Flavor ID', cell: flavorId });
  else columns.push({ title: 'Flavor', cell: input.flag('no-name-lookup') ? flavorId : flavorName });
  if (long) columns.push(zone, host, properties);
  for (const asked of input.texts('column')) {
    const extra = extraColumns.get(asked.toLowerCase().replaceAll('_', ' '));
    if (extra !== undefined && !columns.some((each) => each.title === extra.title)) columns.push(extra);
  }
  return columns;
}

const absent = (value: Json | undefined): Json => value ?? '';
const taskState: Column = { title: 'Task State', cell: (server) => server['OS-EXT-STS:task_state'] ?? null };
const power: Column = { title: 'Power State', cell: (server) => powerState(absent(server['OS-EXT-STS:power_state'])) };
const zone: Column = { title: 'Availability Zone', cell: (server) => absent(server['OS-EXT-AZ:availability_zone']) };
// Who is no admin is not told the host: the field is absent, and the cell empty.
const host: Column = {
  title: 'Host',
  cell: (server) => ('OS-EXT-SRV-ATTR:host' in server ? (server['OS-EXT-SRV-ATTR:host'] ?? null) : ''),
};
const properties: Column = { title: 'Properties', cell: (server) => dictionary(objectAt(server, 'metadata')) };

const imageId = (server: JsonObject): Cell => textAt(objectAt(server, 'image'), 'id') || BOOTED_FROM_VOLUME;
const imageName = (server: JsonObject, names: Names): Cell => {
  const id = textAt(objectAt(server, 'image'), 'id');
  return id === '' ? BOOTED_FROM_VOLUME : (names.images.get(id) ?? '');
};
const flavorId = (server: JsonObject): Cell => textAt(objectAt(server, 'flavor'), 'id');
const flavorName = (server: JsonObject, names: Names): Cell => names.flavors.get(textAt(objectAt(server, 'flavor'), 'id')) ?? '';

/** Columns that are there only when `-c` asks for them. */
const extraColumns: ReadonlyMap<string, Column> = new Map<string, Column>([
  ['project id', { title: 'Project ID', cell: (server) => server.tenant_id ?? null }],
  ['user id', { title: 'User ID', cell: (server) => server.user_id ?? null }],
  ['created at', { title: 'Created At', cell: (server) => server.created ?? null }],
  [
    'security groups',
    { title: 'Security Groups', cell: (server) => listOf(objectsAt(server, 'security_groups').map((each) => textAt(each, 'name'))) },
  ],
  ['task state', taskState],
  ['power state', power],
  ['image id', { title: 'Image ID', cell: imageId }],
  ['flavor id', { title: 'Flavor ID', cell: flavorId }],
  ['availability zone', zone],
  ['host', host],
  ['properties', properties],
]);

/** Names are not essential: a service that refuses leaves them empty. */
async function readNames(cloud: Cloud, flavorsToo: boolean): Promise<Names> {
  const named = async (read: () => Promise<readonly JsonObject[]>) => {
    try {
      return new Map((await read()).filter(isObject).map((each) => [textAt(each, 'id'), textAt(each, 'name')] as const));
    } catch (error) {
      if (error instanceof CommandError) return new Map<string, string>();
      throw error;
    }
  };
  const [images, flavors] = await Promise.all([
    named(async () => (await cloud.service('image')).all('/images', 'images')),
    flavorsToo ? named(async () => (await cloud.compute()).all('/flavors', 'flavors', { is_public: 'None' })) : new Map<string, string>(),
  ]);
  return { images, flavors };
}
