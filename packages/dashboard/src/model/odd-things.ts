import type { ServerGroupView } from '@godwit/contract/schemas/godwit/server-groups';
import type { Server } from '../api/servers.ts';
import type { SafeRequest, StuckThing } from '../api/stuck.ts';

/** One row of Troubleshooting. */
export type OddThing = {
  readonly key: string;
  readonly kind: StuckThing['kind'] | 'error' | 'group-rule';
  readonly subject: string;
  /** Where the subject's own page is. */
  readonly path: string;
  readonly search: Readonly<Record<string, string>>;
  readonly sentence: string;
  readonly evidence: readonly string[];
  readonly since: string | null;
  readonly action: { readonly sentence: string; readonly request: SafeRequest | null };
};

/** What the controller finds stuck, and what is not as it should be although nothing waits: instances in Error, broken group rules. */
export const oddThings = (inputs: {
  readonly stuck: readonly StuckThing[];
  readonly failed: readonly Server[];
  readonly groups: readonly ServerGroupView[];
}): readonly OddThing[] => [
  ...inputs.stuck.map((thing) => ({
    ...thing,
    ...pageOf(thing.subject),
    key: `${thing.kind} ${thing.subject.id} ${thing.sentence}`,
    subject: thing.subject.name,
  })),
  ...inputs.failed.map(
    (server): OddThing => ({
      key: `error ${server.id}`,
      kind: 'error',
      subject: server.name,
      path: `/admin/instances/${server.id}`,
      search: {},
      sentence: `${server.name} is in status Error.`,
      evidence: server.fault === undefined ? [] : [server.fault.message],
      since: server.fault?.created ?? server.updated,
      action: {
        sentence: 'Read the fault and the action log first; Hard Reboot then starts it again from its disk under a new grant.',
        request: null,
      },
    }),
  ),
  ...inputs.groups.flatMap((group) =>
    group.violations.map(
      ({ sentence }): OddThing => ({
        key: `group ${group.id} ${sentence}`,
        kind: 'group-rule',
        subject: group.name,
        path: '/admin/server-groups',
        search: {},
        sentence,
        evidence: [`Policy ${group.policy}.`],
        since: null,
        action: { sentence: 'Live Migrate a member to a host that keeps the rule.', request: null },
      }),
    ),
  ),
];

function pageOf({ type, id, name }: StuckThing['subject']): Pick<OddThing, 'path' | 'search'> {
  switch (type) {
    case 'migration':
      return { path: `/admin/migrations/${id}`, search: {} };
    case 'server':
      return { path: `/admin/instances/${id}`, search: {} };
    case 'host':
      return { path: '/admin/instances', search: { host: name } };
  }
}
