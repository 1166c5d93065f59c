import { Type } from 'typebox';
import { Closed, OneOf, perMinor, Uuid } from '../closed.ts';
import { Name } from './server-requests.ts';

/** OpenStack compute API v2.1, "Server groups". Below 2.64 one policy in a list; from it on a policy and its rules. */
const hard = ['affinity', 'anti-affinity'] as const;
const all = ['affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity'] as const;
export type ServerGroupPolicy = (typeof all)[number];

export const CreateServerGroup = perMinor((minor) =>
  Closed({
    server_group:
      minor >= 64
        ? Closed({
            name: Name,
            policy: OneOf(...all),
            // Clients send the number as a text.
            rules: Type.Optional(
              Closed({
                max_server_per_host: Type.Optional(
                  Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000 }), Type.String({ pattern: '^0*[1-9][0-9]{0,5}$' })]),
                ),
              }),
            ),
          })
        : Closed({ name: Name, policies: Type.Array(minor >= 15 ? OneOf(...all) : OneOf(...hard), { minItems: 1, maxItems: 1 }) }),
  }),
);
export type CreateServerGroup = {
  readonly server_group: {
    readonly name: string;
    readonly policy?: ServerGroupPolicy;
    readonly policies?: readonly ServerGroupPolicy[];
    readonly rules?: { readonly max_server_per_host?: number | string };
  };
};

const ServerGroup = (minor: number) =>
  Closed({
    id: Uuid,
    name: Type.String(),
    members: Type.Array(Uuid),
    ...(minor >= 64
      ? { policy: Type.String(), rules: Closed({ max_server_per_host: Type.Optional(Type.Integer()) }) }
      : { policies: Type.Array(Type.String(), { minItems: 1, maxItems: 1 }), metadata: Closed({}) }),
    ...(minor >= 13 ? { project_id: Type.String(), user_id: Type.String() } : {}),
  });
export const ServerGroupAnswer = perMinor((minor) => Closed({ server_group: ServerGroup(minor) }));
export const ServerGroupsAnswer = perMinor((minor) => Closed({ server_groups: Type.Array(ServerGroup(minor)) }));
