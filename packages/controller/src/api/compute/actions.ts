import { always, perMinor } from '@godwit/contract/schemas/closed';
import {
  ActionAnswer,
  type ActionArguments,
  ActionBody,
  AddFixedIpArguments,
  AddressArguments,
  Anything,
  ChangePasswordArguments,
  ConsoleOutputArguments,
  EvacuateArguments,
  LiveMigrateArguments,
  LockArguments,
  MigrateArguments,
  namedAction,
  OldConsoleArguments,
  RebootArguments,
  RemoveFixedIpArguments,
  RescueArguments,
  ResetStateArguments,
  ResizeArguments,
  SecurityGroupArguments,
  UnshelveArguments,
} from '@godwit/contract/schemas/compute/server-actions';
import { CreateBackupArguments, CreateImageArguments, RebuildArguments } from '@godwit/contract/schemas/compute/server-requests';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import type { ServerAction } from '@godwit/domain/server-states';
import { assertAllowed, type PolicyRule } from '../../auth/policy.ts';
import type { Caller } from '../../workflows/operations.ts';
import { assertBody } from '../json-body.ts';
import { truth } from './boolean.ts';
import { confirmResize, migrate, resize, revertResize } from './cold-actions.ts';
import { consoleOutput } from './console-output.ts';
import { evacuate } from './evacuate-action.ts';
import { lock, unlock } from './lock.ts';
import { rebuild } from './rebuild-action.ts';
import { oldConsole } from './remote-consoles.ts';
import { rescue } from './rescue-action.ts';
import { resetState } from './reset-state.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, route } from './route.ts';
import { addSecurityGroup, removeSecurityGroup } from './security-group-actions.ts';
import { serverFor } from './server-rows.ts';
import { unshelve } from './shelve-actions.ts';
import { createBackup, createImage } from './snapshot-actions.ts';

type Handle<Arguments> = (request: ComputeRequest<never>, args: Arguments) => Promise<Answer>;
type Action<Arguments = never> = {
  readonly min?: number;
  readonly max?: number;
  /** What may stand behind the action's name at this minor. */
  readonly args: (minor: number) => ActionArguments;
  readonly handle: Handle<Arguments>;
};

const anything = (): ActionArguments => Anything;
const accepted: Answer = { status: 202 };

/** One that the table of states allows and the workflows carry out. */
const through = (
  action: ServerAction,
  run: (request: ComputeRequest<never>, caller: Caller, server: ServerId) => Promise<unknown>,
): Action<unknown> => ({
  args: anything,
  handle: async (request) => {
    const server = await serverFor(request, action);
    await run(request, request.caller, as<ServerId>(server.id));
    return accepted;
  },
});

/** One that the API knows and this version does not do: refused in its turn, after everything that would be wrong anyway, and nothing is changed. */
const notOffered = <A = unknown>(action: ServerAction, what: string, args: (minor: number) => ActionArguments = anything): Action<A> => ({
  args,
  handle: async (request) => {
    await serverFor(request, action);
    throw new GodwitError('NotImplemented', `${what} is not available in this version.`);
  },
});

const noFloatingIp =
  (rule: PolicyRule): Handle<AddressArguments> =>
  async (request, { address }) => {
    assertAllowed(request.caller, rule);
    await serverFor(request, 'show');
    throw new GodwitError('NotFound', `floating IP ${address} not found: this cloud has none`);
  };

/** A port keeps the addresses that it was made with. */
const noOtherAddress =
  (rule: PolicyRule): Handle<unknown> =>
  async (request) => {
    assertAllowed(request.caller, rule);
    await serverFor(request, 'show');
    throw new GodwitError('NotImplemented', 'The addresses of a server are not changed through the compute API of this version.');
  };

const gone: Handle<unknown> = async () => {
  throw new GodwitError('Gone', 'This resource is no longer available. No forwarding address is given.');
};

/** Every action of `POST /servers/{id}/action`, by the name in the body. */
const serverActions: Readonly<Record<string, Action>> = {
  'os-start': through('start', (request, caller, server) => request.context.operations.start(caller, server)),
  'os-stop': through('stop', (request, caller, server) => request.context.operations.stop(caller, server)),
  pause: through('pause', (request, caller, server) => request.context.operations.pause(caller, server)),
  unpause: through('unpause', (request, caller, server) => request.context.operations.unpause(caller, server)),
  reboot: {
    args: () => RebootArguments,
    handle: async (request, args: RebootArguments) => {
      const hard = args.type.toUpperCase() === 'HARD';
      const server = await serverFor(request, hard ? 'reboot-hard' : 'reboot');
      await request.context.operations.reboot(request.caller, as<ServerId>(server.id), hard ? 'HARD' : 'SOFT');
      return accepted;
    },
  },
  lock: { args: LockArguments, handle: lock },
  unlock: { args: anything, handle: unlock },
  'os-resetState': { args: () => ResetStateArguments, handle: resetState },
  'os-getConsoleOutput': { args: () => ConsoleOutputArguments, handle: consoleOutput },
  'os-migrateLive': { args: LiveMigrateArguments, handle: liveMigrate },
  migrate: { args: MigrateArguments, handle: migrate },
  resize: { args: () => ResizeArguments, handle: resize },
  confirmResize: { args: anything, handle: confirmResize },
  revertResize: { args: anything, handle: revertResize },
  evacuate: { args: EvacuateArguments, handle: evacuate },
  forceDelete: through('force-delete', (request, caller, server) => request.context.operations.delete(caller, server)),
  restore: notOffered('restore', 'Restoring a deleted server'),
  'os-getVNCConsole': { max: 5, args: () => OldConsoleArguments('novnc', 'xvpvnc'), handle: oldConsole },
  'os-getSPICEConsole': { max: 5, args: () => OldConsoleArguments('spice-html5'), handle: oldConsole },
  'os-getRDPConsole': { max: 5, args: () => OldConsoleArguments('rdp-html5'), handle: oldConsole },
  'os-getSerialConsole': { max: 5, args: () => OldConsoleArguments('serial'), handle: oldConsole },
  addFloatingIp: { max: 43, args: () => AddressArguments, handle: noFloatingIp('os-floating-ips:add') },
  removeFloatingIp: { max: 43, args: () => AddressArguments, handle: noFloatingIp('os-floating-ips:remove') },
  addFixedIp: { max: 43, args: () => AddFixedIpArguments, handle: noOtherAddress('os-multinic:add') },
  removeFixedIp: { max: 43, args: () => RemoveFixedIpArguments, handle: noOtherAddress('os-multinic:remove') },
  resetNetwork: { args: anything, handle: gone },
  injectNetworkInfo: { args: anything, handle: gone },
  suspend: through('suspend', (request, caller, server) => request.context.operations.suspend(caller, server)),
  resume: through('resume', (request, caller, server) => request.context.operations.resume(caller, server)),
  rebuild: { args: RebuildArguments, handle: rebuild },
  rescue: { args: () => RescueArguments, handle: rescue },
  unrescue: through('unrescue', (request, caller, server) => request.context.operations.unrescue(caller, server)),
  shelve: through('shelve', (request, caller, server) => request.context.operations.shelve(caller, server)),
  shelveOffload: through('shelve-offload', (request, caller, server) => request.context.operations.shelveOffload(caller, server)),
  unshelve: { args: UnshelveArguments, handle: unshelve },
  createImage: { args: () => CreateImageArguments, handle: createImage },
  createBackup: { args: () => CreateBackupArguments, handle: createBackup },
  changePassword: { args: () => ChangePasswordArguments, handle: changePassword },
  addSecurityGroup: { args: () => SecurityGroupArguments, handle: addSecurityGroup },
  removeSecurityGroup: { args: () => SecurityGroupArguments, handle: removeSecurityGroup },
};

/** Guests are started without the channel of QEMU's agent: the answer is the reference's for such a guest. */
async function changePassword(request: ComputeRequest<never>): Promise<Answer> {
  await serverFor(request, 'change-password');
  throw new GodwitError('Conflict', 'QEMU guest agent is not enabled: the password is changed inside the guest.');
}

async function liveMigrate(request: ComputeRequest<never>, args: LiveMigrateArguments): Promise<Answer> {
  const { minor, caller } = request;
  const server = await serverFor(request, 'live-migrate');
  const force = truth(args.force);
  if (force && args.host === null) throw new GodwitError('BadRequest', "Can't force to a non-provided destination");
  await request.context.operations.liveMigrate(caller, as<ServerId>(server.id), {
    host: args.host,
    diskOverCommit: truth(args.disk_over_commit),
    blockMigration: args.block_migration === 'auto' ? 'auto' : truth(args.block_migration),
    force,
    // From 2.34 on the answer comes before anybody looked for a host.
    checksBeforeAnswer: minor < 34,
  });
  return accepted;
}

/** `{"<name>": arguments}` and nothing else beside it. */
const actionBody = Object.fromEntries(
  Object.entries(serverActions).map(([name, action]) => [name, perMinor((minor) => namedAction(name, action.args(minor)))]),
);

async function act(request: ComputeRequest<Record<string, unknown>>): Promise<Answer> {
  const { body, minor } = request;
  const [name] = Object.keys(body);
  if (name === undefined) throw new GodwitError('SchemaViolation', 'Malformed request body');
  const known = Object.hasOwn(serverActions, name) ? serverActions[name] : undefined;
  const action = known !== undefined && minor >= (known.min ?? 1) && minor <= (known.max ?? Infinity) ? known : undefined;
  if (action === undefined) throw new GodwitError('BadRequest', `There is no such action: ${name.slice(0, 60)}`);
  const schema = actionBody[name];
  if (schema === undefined) throw new Error(`no schema for ${name}`);
  assertBody(schema(minor), body);
  // The schema just checked makes the arguments what the handler declares.
  return action.handle(request as ComputeRequest<never>, body[name] as never);
}

/** Names of the actions, for tests that go through all of them. */
export const actionNames: readonly string[] = Object.keys(serverActions);
/** Schema of the whole body of an action at a minor, for tests that make bodies from it. */
export const actionBodyOf = (name: string, minor: number): ActionArguments | null => {
  const { min = 1, max = Infinity } = serverActions[name] ?? {};
  return minor < min || minor > max ? null : (actionBody[name]?.(minor) ?? null);
};

export const actionRoutes: readonly ComputeRoute[] = [
  route('POST', '/servers/:server/action', { body: always(ActionBody), response: ActionAnswer, handle: act }),
];
