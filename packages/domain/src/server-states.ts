import type { ErrorCode } from './errors.ts';
import type { HypervisorType } from './host.ts';
import { type TaskState, taskStates, type VmState, vmStates } from './server.ts';

/**
 * THE table of what may be done to a server in which state, by whom. API, UI, CLI and tests derive from it.
 * Sources: OpenStack compute API reference ("Server actions", "Server statuses") and the policies of its 26th release.
 */
export type ServerAction = (typeof serverActions)[number];
export const serverActions = [
  'show',
  'update',
  'delete',
  'start',
  'stop',
  'pause',
  'unpause',
  'suspend',
  'resume',
  'reboot',
  'reboot-hard',
  'lock',
  'unlock',
  'reset-state',
  'live-migrate',
  'abort-live-migration',
  'force-complete',
  'migrate',
  'resize',
  'confirm-resize',
  'revert-resize',
  'evacuate',
  'console-output',
  'diagnostics',
  'topology',
  'show-password',
  'clear-password',
  'rebuild',
  'rescue',
  'unrescue',
  'shelve',
  'shelve-offload',
  'unshelve',
  'create-image',
  'create-backup',
  'force-delete',
  'restore',
  'metadata',
  'tags',
  'attach-interface',
  'detach-interface',
  'change-password',
  'scale',
] as const;

export type ActionRule = {
  /** The action as refusals name it (`Cannot '<words>' instance …`). */
  readonly words: string;
  /** The policy rule, as a 403 names it. */
  readonly policy: string;
  /** The least role: `reader` may look, `member` of the server's project may act, `admin` only. */
  readonly who: 'reader' | 'member' | 'admin';
  readonly vmStates: 'any' | readonly VmState[];
  readonly taskStates: 'any' | readonly TaskState[];
  /** A locked server refuses it to everybody but an admin. */
  readonly refusedWhenLocked: boolean;
  /** False: never on a bare metal server, whatever its state. */
  readonly onBareMetal: boolean;
};

const idle: readonly TaskState[] = [null];
const anyTask = 'any';
const policy = (rule: string): string => (rule.startsWith('compute:') ? rule : `os_compute_api:${rule}`);
const rule = (
  words: string,
  rulePolicy: string,
  who: ActionRule['who'],
  vm: ActionRule['vmStates'],
  task: ActionRule['taskStates'],
  more: Partial<Pick<ActionRule, 'refusedWhenLocked' | 'onBareMetal'>> = {},
): ActionRule => ({
  words,
  policy: policy(rulePolicy),
  who,
  vmStates: vm,
  taskStates: task,
  refusedWhenLocked: true,
  onBareMetal: true,
  ...more,
});

export const actionRules: Readonly<Record<ServerAction, ActionRule>> = {
  show: rule('show', 'servers:show', 'reader', 'any', anyTask, { refusedWhenLocked: false }),
  update: rule('update', 'servers:update', 'member', 'any', anyTask, { refusedWhenLocked: false }),
  delete: rule('delete', 'servers:delete', 'member', 'any', anyTask),
  start: rule('start', 'servers:start', 'member', ['stopped'], idle),
  stop: rule('stop', 'servers:stop', 'member', ['active', 'error'], idle),
  pause: rule('pause', 'os-pause-server:pause', 'member', ['active'], idle),
  unpause: rule('unpause', 'os-pause-server:unpause', 'member', ['paused'], idle),
  suspend: rule('suspend', 'os-suspend-server:suspend', 'member', ['active'], idle),
  resume: rule('resume', 'os-suspend-server:resume', 'member', ['suspended'], idle),
  reboot: rule('reboot', 'servers:reboot', 'member', ['active'], idle),
  'reboot-hard': rule(
    'reboot',
    'servers:reboot',
    'member',
    ['active', 'stopped', 'paused', 'suspended', 'error'],
    [null, 'rebooting', 'reboot_started', 'rebooting_hard', 'pausing', 'unpausing', 'suspending', 'resuming'],
  ),
  lock: rule('lock', 'os-lock-server:lock', 'member', 'any', anyTask, { refusedWhenLocked: false }),
  unlock: rule('unlock', 'os-lock-server:unlock', 'member', 'any', anyTask, { refusedWhenLocked: false }),
  'reset-state': rule('os-resetState', 'os-admin-actions:reset_state', 'admin', 'any', anyTask, { refusedWhenLocked: false }),
  'live-migrate': rule('os-migrateLive', 'os-migrate-server:migrate_live', 'admin', ['active', 'paused'], idle, { onBareMetal: false }),
  'abort-live-migration': rule('abort live migration', 'servers:migrations:delete', 'admin', 'any', ['migrating'], { onBareMetal: false }),
  'force-complete': rule('force_complete', 'servers:migrations:force_complete', 'admin', ['active'], ['migrating'], { onBareMetal: false }),
  migrate: rule('migrate', 'os-migrate-server:migrate', 'admin', ['active', 'stopped'], idle, { onBareMetal: false }),
  resize: rule('resize', 'servers:resize', 'member', ['active', 'stopped'], idle, { onBareMetal: false }),
  'confirm-resize': rule('confirmResize', 'servers:confirm_resize', 'member', ['resized'], idle, { onBareMetal: false }),
  'revert-resize': rule('revertResize', 'servers:revert_resize', 'member', ['resized'], idle, { onBareMetal: false }),
  evacuate: rule('evacuate', 'os-evacuate', 'admin', ['active', 'stopped', 'error'], idle, { onBareMetal: false }),
  'console-output': rule('os-getConsoleOutput', 'os-console-output', 'member', 'any', anyTask, { refusedWhenLocked: false }),
  diagnostics: rule('get_diagnostics', 'os-server-diagnostics', 'admin', ['active', 'rescued'], anyTask, { refusedWhenLocked: false }),
  topology: rule('show', 'compute:server:topology:index', 'reader', 'any', anyTask, { refusedWhenLocked: false }),
  'show-password': rule('show', 'os-server-password:show', 'reader', 'any', anyTask, { refusedWhenLocked: false }),
  'clear-password': rule('clear', 'os-server-password:clear', 'member', 'any', anyTask, { refusedWhenLocked: false }),
  rebuild: rule('rebuild', 'servers:rebuild', 'member', ['active', 'stopped', 'error'], idle),
  rescue: rule('rescue', 'os-rescue', 'member', ['active', 'stopped', 'error'], idle),
  unrescue: rule('unrescue', 'os-unrescue', 'member', ['rescued'], idle),
  shelve: rule('shelve', 'os-shelve:shelve', 'member', ['active', 'paused', 'stopped', 'suspended'], idle),
  'shelve-offload': rule('shelve_offload', 'os-shelve:shelve_offload', 'admin', ['shelved'], idle),
  unshelve: rule('unshelve', 'os-shelve:unshelve', 'member', ['shelved', 'shelved_offloaded'], idle),
  'create-image': rule('createImage', 'servers:create_image', 'member', ['active', 'stopped', 'paused', 'suspended'], idle),
  'create-backup': rule('createBackup', 'os-create-backup', 'member', ['active', 'stopped', 'paused', 'suspended'], idle),
  'force-delete': rule('forceDelete', 'os-deferred-delete:force', 'member', 'any', anyTask),
  // Deletes are never deferred here, so there is nothing to restore: refused by state.
  restore: rule('restore', 'os-deferred-delete:restore', 'member', ['soft-delete'], anyTask),
  metadata: rule(
    'update metadata of',
    'server-metadata:update_all',
    'member',
    ['active', 'paused', 'suspended', 'stopped', 'resized', 'building', 'error', 'rescued'],
    anyTask,
  ),
  tags: rule(
    'update tags of',
    'os-server-tags:update',
    'member',
    ['active', 'paused', 'suspended', 'stopped', 'resized', 'building', 'error', 'rescued'],
    anyTask,
    { refusedWhenLocked: false },
  ),
  'attach-interface': rule('attach_interface', 'os-attach-interfaces:create', 'member', ['active', 'paused', 'stopped'], idle),
  'detach-interface': rule('detach_interface', 'os-attach-interfaces:delete', 'member', ['active', 'paused', 'stopped'], idle),
  'change-password': rule('changePassword', 'os-admin-password', 'member', ['active'], idle),
  // Godwit's own, with the policy of the resize that it takes the place of.
  scale: rule('scale', 'servers:resize', 'member', ['active', 'stopped'], idle),
};

/** What `checkAction` needs to know of a server. */
export type ServerFacts = {
  readonly id: string;
  readonly projectId: string;
  readonly vmState: VmState;
  readonly taskState: TaskState;
  readonly locked: boolean;
  /** Of the host it lives on; null before it has one. */
  readonly hypervisorType: HypervisorType | null;
};

/** What `checkAction` needs to know of who asks. */
export type CallerFacts = { readonly projectId: string; readonly roles: readonly string[]; readonly isAdmin: boolean };

export type ActionVerdict =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly code: Extract<ErrorCode, 'ServerNotFound' | 'Forbidden' | 'BareMetalCannotMigrate' | 'ServerLocked' | 'InvalidState'>;
      readonly message: string;
    };

/**
 * May this caller do this to this server now? Refusals come in the API's order: server unknown to the caller, policy, bare metal,
 * lock, vm_state, task_state; the message is what the API answers. Nothing else (hosts, capacity) is looked at.
 */
export function checkAction(action: ServerAction, server: ServerFacts, caller: CallerFacts): ActionVerdict {
  const rule = actionRules[action];
  if (!caller.isAdmin && server.projectId !== caller.projectId)
    return { ok: false, code: 'ServerNotFound', message: `Instance ${server.id} could not be found.` };
  if (!isAllowed(rule.who, caller)) return { ok: false, code: 'Forbidden', message: policyMessage(rule.policy) };
  if (!rule.onBareMetal && server.hypervisorType === 'ironic')
    return { ok: false, code: 'BareMetalCannotMigrate', message: 'bare metal instances cannot be migrated' };
  if (rule.refusedWhenLocked && server.locked && !caller.isAdmin)
    return { ok: false, code: 'ServerLocked', message: `Instance ${server.id} is locked` };
  if (rule.vmStates !== 'any' && !rule.vmStates.includes(server.vmState)) return cannot(rule, server, `vm_state ${server.vmState}`);
  if (rule.taskStates !== 'any' && !rule.taskStates.includes(server.taskState))
    return cannot(rule, server, `task_state ${server.taskState ?? 'None'}`);
  return { ok: true };
}

/** The actions this caller may start on this server now: what a menu enables. */
export function allowedActions(server: ServerFacts, caller: CallerFacts): readonly ServerAction[] {
  return serverActions.filter((action) => checkAction(action, server, caller).ok);
}

/** Roles imply one another: admin → member → reader. */
export function isAllowed(who: ActionRule['who'], caller: Pick<CallerFacts, 'roles' | 'isAdmin'>): boolean {
  if (caller.isAdmin) return true;
  switch (who) {
    case 'admin':
      return false;
    case 'member':
      return caller.roles.includes('member');
    case 'reader':
      return caller.roles.includes('member') || caller.roles.includes('reader');
  }
}

/** The sentence of every 403 of the compute API. */
export const policyMessage = (policyRule: string): string => `Policy doesn't allow ${policyRule} to be performed.`;

const cannot = (rule: ActionRule, server: ServerFacts, state: string): ActionVerdict => ({
  ok: false,
  code: 'InvalidState',
  message: `Cannot '${rule.words}' instance ${server.id} while it is in ${state}`,
});

/** The API's status words, in the reference's spelling. */
export const serverStatuses = [
  'ACTIVE',
  'BUILD',
  'REBUILD',
  'SUSPENDED',
  'PAUSED',
  'RESIZE',
  'VERIFY_RESIZE',
  'REVERT_RESIZE',
  'PASSWORD',
  'REBOOT',
  'HARD_REBOOT',
  'DELETED',
  'UNKNOWN',
  'ERROR',
  'SHUTOFF',
  'RESCUE',
  'MIGRATING',
  'SHELVED',
  'SHELVED_OFFLOADED',
  'SOFT_DELETED',
] as const;
export type ServerStatus = (typeof serverStatuses)[number];

const resizing: readonly TaskState[] = ['resize_prep', 'resize_migrating', 'resize_migrated', 'resize_finish'];
const rebuilding: readonly TaskState[] = ['rebuilding', 'rebuild_spawning'];

/** status = f(vm_state, task_state). */
export function serverStatus(vmState: VmState, taskState: TaskState): ServerStatus {
  switch (vmState) {
    case 'active':
      if (taskState === 'migrating') return 'MIGRATING';
      if (resizing.includes(taskState)) return 'RESIZE';
      if (rebuilding.includes(taskState)) return 'REBUILD';
      if (taskState === 'rebooting' || taskState === 'reboot_started') return 'REBOOT';
      if (taskState === 'rebooting_hard' || taskState === 'reboot_started_hard') return 'HARD_REBOOT';
      return 'ACTIVE';
    case 'paused':
      return taskState === 'migrating' ? 'MIGRATING' : 'PAUSED';
    case 'stopped':
      if (resizing.includes(taskState)) return 'RESIZE';
      return rebuilding.includes(taskState) ? 'REBUILD' : 'SHUTOFF';
    case 'resized':
      return taskState === 'resize_reverting' ? 'REVERT_RESIZE' : 'VERIFY_RESIZE';
    case 'building':
      return 'BUILD';
    case 'suspended':
      return 'SUSPENDED';
    case 'rescued':
      return 'RESCUE';
    case 'error':
      return rebuilding.includes(taskState) ? 'REBUILD' : 'ERROR';
    case 'deleted':
      return 'DELETED';
    case 'soft-delete':
      return 'SOFT_DELETED';
    case 'shelved':
      return 'SHELVED';
    case 'shelved_offloaded':
      return 'SHELVED_OFFLOADED';
  }
}

/** Every (vm_state, task_state) that shows as this status: what a list filtered by status asks the database for. */
export function statesOfStatus(status: string): readonly { readonly vmState: VmState; readonly taskStates: readonly TaskState[] }[] {
  const wanted = status.toUpperCase();
  const all: readonly TaskState[] = [null, ...taskStates];
  return vmStates
    .map((vmState) => ({ vmState, taskStates: all.filter((task) => serverStatus(vmState, task) === wanted) }))
    .filter((entry) => entry.taskStates.length > 0);
}

/** Statuses in which the API shows `progress`. */
export const statusesWithProgress: readonly ServerStatus[] = ['ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING'];
/** Statuses in which the API shows `fault`. */
export const statusesWithFault: readonly ServerStatus[] = ['ERROR', 'DELETED'];
