import { Type } from 'typebox';
import { Closed, Nullable, OneOf, Uuid } from '../closed.ts';

/** Godwit's own view of server groups: who is in them, where that runs (for admins), and what is not as the policy says. */
const Host = Closed({ id: Uuid, name: Type.String() });
const policies = ['affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity'] as const;

const serverGroup = (isAdmin: boolean) =>
  Closed({
    id: Uuid,
    name: Type.String(),
    policy: OneOf(...policies),
    /** Null: the policy's own, which is 1 for anti-affinity. */
    maxServerPerHost: Nullable(Type.Integer({ minimum: 1 })),
    projectId: Type.String(),
    userId: Type.String(),
    createdAt: Type.String(),
    members: Type.Array(
      Closed({
        id: Uuid,
        name: Type.String(),
        status: Type.String(),
        /** While it has a task the server can be neither removed nor added. */
        taskState: Nullable(Type.String()),
        ...(isAdmin ? { host: Nullable(Host) } : {}),
      }),
    ),
    violations: Type.Array(
      Closed({
        code: OneOf('Affinity', 'AntiAffinity'),
        sentence: Type.String(),
        serverIds: Type.Array(Uuid),
        ...(isAdmin ? { host: Nullable(Host) } : {}),
      }),
    ),
  });
const forAdmin = serverGroup(true);
const forOthers = serverGroup(false);
type HostRef = { readonly id: string; readonly name: string };
export type ServerGroupView = {
  readonly id: string;
  readonly name: string;
  readonly policy: (typeof policies)[number];
  readonly maxServerPerHost: number | null;
  readonly projectId: string;
  readonly userId: string;
  readonly createdAt: string;
  readonly members: readonly {
    readonly id: string;
    readonly name: string;
    readonly status: string;
    readonly taskState: string | null;
    readonly host?: HostRef | null;
  }[];
  readonly violations: readonly {
    readonly code: 'Affinity' | 'AntiAffinity';
    readonly sentence: string;
    readonly serverIds: readonly string[];
    readonly host?: HostRef | null;
  }[];
};

const oneForAdmin = Closed({ serverGroup: forAdmin });
const oneForOthers = Closed({ serverGroup: forOthers });
/** `GET /server-groups/{id}` and `POST /server-groups/{id}/members/{server}` */
export const ServerGroupAnswer = (isAdmin: boolean) => (isAdmin ? oneForAdmin : oneForOthers);

const allForAdmin = Closed({ serverGroups: Type.Array(forAdmin) });
const allForOthers = Closed({ serverGroups: Type.Array(forOthers) });
/** `GET /server-groups` */
export const ServerGroupsAnswer = (isAdmin: boolean) => (isAdmin ? allForAdmin : allForOthers);

/** `POST /server-groups/{id}/members/{server}` takes nothing but its path. */
export const AddMember = Closed({});
