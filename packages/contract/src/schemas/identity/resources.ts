import { type Static, type TSchema, Type } from 'typebox';
import { Closed } from '../closed.ts';
import { ListLinks, NullableText, SelfLinks } from './auth.ts';

/** OpenStack identity API v3: domains, projects, users, roles, role assignments. Bodies are open: clients send attributes of deployments we are not. */
const Name = Type.String({ minLength: 1, maxLength: 64, pattern: '\\S' });
const UserName = Type.String({ minLength: 1, maxLength: 255, pattern: '\\S' });
const Description = Type.Union([Type.String({ maxLength: 10_000 }), Type.Null()]);
const Id = Type.String({ minLength: 1, maxLength: 64 });
const Enabled = Type.Boolean();
const Password = Type.String({ minLength: 1, maxLength: 4096 });
const Email = Type.Union([Type.String({ maxLength: 255 }), Type.Null()]);

export const CreateDomain = Type.Object({
  domain: Type.Object({ name: Name, description: Type.Optional(Description), enabled: Type.Optional(Enabled) }),
});
export const UpdateDomain = Type.Object({
  domain: Type.Object({ name: Type.Optional(Name), description: Type.Optional(Description), enabled: Type.Optional(Enabled) }),
});

export const CreateProject = Type.Object({
  project: Type.Object({
    name: Name,
    description: Type.Optional(Description),
    enabled: Type.Optional(Enabled),
    domain_id: Type.Optional(Type.Union([Id, Type.Null()])),
    parent_id: Type.Optional(Type.Union([Id, Type.Null()])),
    is_domain: Type.Optional(Type.Literal(false)),
  }),
});
export const UpdateProject = Type.Object({
  project: Type.Object({ name: Type.Optional(Name), description: Type.Optional(Description), enabled: Type.Optional(Enabled) }),
});

export const CreateUser = Type.Object({
  user: Type.Object({
    name: UserName,
    password: Type.Optional(Type.Union([Password, Type.Null()])),
    domain_id: Type.Optional(Type.Union([Id, Type.Null()])),
    default_project_id: Type.Optional(Type.Union([Id, Type.Null()])),
    enabled: Type.Optional(Enabled),
    email: Type.Optional(Email),
    description: Type.Optional(Description),
  }),
});
export const UpdateUser = Type.Object({
  user: Type.Object({
    name: Type.Optional(UserName),
    password: Type.Optional(Password),
    default_project_id: Type.Optional(Type.Union([Id, Type.Null()])),
    enabled: Type.Optional(Enabled),
    email: Type.Optional(Email),
    description: Type.Optional(Description),
  }),
});
export const ChangePassword = Type.Object({ user: Type.Object({ password: Password, original_password: Password }) });

export const CreateRole = Type.Object({
  role: Type.Object({ name: UserName, description: Type.Optional(Description), domain_id: Type.Optional(Type.Null()) }),
});
export const UpdateRole = Type.Object({ role: Type.Object({ name: Type.Optional(UserName), description: Type.Optional(Description) }) });

export type CreateDomain = Static<typeof CreateDomain>;
export type UpdateDomain = Static<typeof UpdateDomain>;
export type CreateProject = Static<typeof CreateProject>;
export type UpdateProject = Static<typeof UpdateProject>;
export type CreateUser = Static<typeof CreateUser>;
export type UpdateUser = Static<typeof UpdateUser>;
export type ChangePassword = Static<typeof ChangePassword>;
export type CreateRole = Static<typeof CreateRole>;
export type UpdateRole = Static<typeof UpdateRole>;

const Options = Closed({});
export const Domain = Closed({
  id: Type.String(),
  name: Type.String(),
  description: Type.String(),
  enabled: Type.Boolean(),
  tags: Type.Array(Type.String()),
  options: Options,
  links: SelfLinks,
});
export const Project = Closed({
  id: Type.String(),
  name: Type.String(),
  domain_id: Type.String(),
  description: Type.String(),
  enabled: Type.Boolean(),
  parent_id: Type.String(),
  is_domain: Type.Literal(false),
  tags: Type.Array(Type.String()),
  options: Options,
  links: SelfLinks,
});
export const User = Closed({
  id: Type.String(),
  name: Type.String(),
  domain_id: Type.String(),
  enabled: Type.Boolean(),
  password_expires_at: Type.Null(),
  options: Options,
  links: SelfLinks,
  email: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  default_project_id: Type.Optional(Type.String()),
});
export const Role = Closed({
  id: Type.String(),
  name: Type.String(),
  domain_id: Type.Null(),
  description: NullableText,
  options: Options,
  links: SelfLinks,
});
const AssignmentRef = Type.Object(
  { id: Type.String(), name: Type.Optional(Type.String()), domain: Type.Optional(Closed({ id: Type.String(), name: Type.String() })) },
  { additionalProperties: false },
);
export const RoleAssignment = Closed({
  role: AssignmentRef,
  user: AssignmentRef,
  scope: Type.Union([Closed({ project: AssignmentRef }), Closed({ domain: AssignmentRef })]),
  links: Closed({ assignment: Type.String() }),
});

/** `{"<name>": item}` and `{"<names>": [items], "links": …}`: the two shapes of every answer about a resource. */
export const itemAnswer = (name: string, item: TSchema): TSchema => Closed({ [name]: item });
export const listAnswer = (names: string, item: TSchema): TSchema => Closed({ [names]: Type.Array(item), links: ListLinks });

export const Service = Closed({
  id: Type.String(),
  type: Type.String(),
  name: Type.String(),
  enabled: Type.Boolean(),
  description: Type.String(),
  links: SelfLinks,
});
export const Endpoint = Closed({
  id: Type.String(),
  service_id: Type.String(),
  interface: Type.String(),
  region: Type.String(),
  region_id: Type.String(),
  url: Type.String(),
  enabled: Type.Boolean(),
  links: SelfLinks,
});
export const Region = Closed({ id: Type.String(), description: Type.String(), parent_region_id: Type.Null(), links: SelfLinks });
