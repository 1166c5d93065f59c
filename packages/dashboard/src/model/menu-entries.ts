import type { HypervisorType } from '@godwit/domain/host';
import {
  type ActionRule,
  actionRules,
  type CallerFacts,
  checkAction,
  type ServerAction,
  type ServerFacts,
  serverStatus,
} from '@godwit/domain/server-states';
import type { View } from '../sidebar.ts';
import { statusWord, words } from '../words.ts';
import { wordList } from './state-in-the-way.ts';

export type MenuAction = keyof typeof words.actions & ServerAction;

/** What everybody may ask of an instance of theirs, in groups. */
const ofOwners: readonly (readonly MenuAction[])[] = [
  ['start', 'stop', 'pause', 'unpause', 'suspend', 'resume', 'reboot', 'reboot-hard'],
  ['console-output', 'create-image', 'resize', 'scale', 'rebuild', 'rescue', 'unrescue', 'shelve', 'unshelve', 'lock', 'unlock'],
  ['delete'],
];

/** What a row's More menu offers, in groups and in order. The project view never offers a choice of host. */
export const menuGroups: Readonly<Record<View, readonly (readonly MenuAction[])[]>> = {
  admin: [['live-migrate', 'migrate', 'confirm-resize', 'revert-resize'], ...ofOwners],
  project: [['confirm-resize', 'revert-resize'], ...ofOwners],
};

export type MenuEntry = { readonly action: MenuAction; readonly label: string; readonly reason: string | null };

/** `scales`: its flavor sets a maximum; absent: not known here. */
type MenuFacts = ServerFacts & { readonly scales?: boolean };

/** Every entry of the menu, in its groups; one that is impossible now has a reason, from the same table that makes the API refuse it. */
export function menuEntries(view: View, server: MenuFacts, caller: CallerFacts): readonly (readonly MenuEntry[])[] {
  return menuGroups[view].map((group) =>
    group.map((action) => ({ action, label: words.actions[action], reason: whyNot(action, server, caller) ?? noMaximum(action, server) })),
  );
}

/** What its flavor lets it have no more of is not offered. */
const noMaximum = (action: MenuAction, { scales }: MenuFacts): string | null =>
  action === 'scale' && scales === false ? 'Its flavor sets no maximum (an extra spec such as godwit:max_vcpus).' : null;

/** One short sentence, or null when it is allowed. */
export function whyNot(action: ServerAction, server: ServerFacts, caller: CallerFacts): string | null {
  const verdict = checkAction(action, server, caller);
  if (verdict.ok) return null;
  const rule = actionRules[action];
  switch (verdict.code) {
    case 'InvalidState':
      return inWords(rule, server);
    case 'BareMetalCannotMigrate':
      return 'Bare metal instances cannot be migrated.';
    case 'ServerLocked':
      return 'The instance is locked.';
    case 'Forbidden':
      return rule.who === 'admin' ? 'This needs the role admin.' : 'This needs the role member in the project.';
    case 'ServerNotFound':
      return verdict.message;
  }
}

/** Which status it needs and which it has; or, when only the task is in the way, what it waits for. */
function inWords(rule: ActionRule, server: ServerFacts): string {
  const states = rule.vmStates;
  if (states !== 'any' && !states.includes(server.vmState)) {
    const needed = [...new Set(states.map((state) => statusWord(serverStatus(state, null))))];
    return `Needs status ${wordList(needed)}; this instance is ${statusWord(serverStatus(server.vmState, server.taskState))}.`;
  }
  if (server.taskState === null) return 'Nothing of this kind is in progress.';
  return `Another task is in progress (${server.taskState.replaceAll('_', ' ')}).`;
}

/** The facts of `checkAction` from a server as the compute API shows it. */
export function serverFacts(
  server: {
    readonly id: string;
    readonly tenant_id: string;
    readonly 'OS-EXT-STS:vm_state': ServerFacts['vmState'];
    readonly 'OS-EXT-STS:task_state': ServerFacts['taskState'];
    readonly locked: boolean;
    readonly flavor: { readonly extra_specs?: Readonly<Record<string, string>> };
  },
  hypervisorType: HypervisorType | null,
): MenuFacts {
  const specs = server.flavor.extra_specs;
  return {
    id: server.id,
    projectId: server.tenant_id,
    vmState: server['OS-EXT-STS:vm_state'],
    taskState: server['OS-EXT-STS:task_state'],
    locked: server.locked,
    hypervisorType,
    ...(specs !== undefined && { scales: Object.keys(specs).some((spec) => spec.startsWith('godwit:max_')) }),
  };
}
