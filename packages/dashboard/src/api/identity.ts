import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

/** Identity v3, for admins. */
export type IdentityProject = {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly enabled: boolean;
};
export type User = {
  readonly id: string;
  readonly name: string;
  readonly email?: string | null;
  readonly description?: string | null;
  readonly enabled: boolean;
  readonly default_project_id?: string | null;
};
export type Role = { readonly id: string; readonly name: string; readonly description: string | null };
export type RoleAssignment = {
  readonly role: { readonly id: string; readonly name: string };
  readonly user: { readonly id: string; readonly name: string };
  readonly scope: {
    readonly project?: { readonly id: string; readonly name: string };
    readonly domain?: { readonly id: string; readonly name: string };
  };
};

export const identityProjects = (api: Api) =>
  queryOptions({
    queryKey: ['identity', 'projects'],
    queryFn: async () => (await api.get<{ readonly projects: readonly IdentityProject[] }>('/identity/v3/projects')).projects,
  });
export const userList = (api: Api) =>
  queryOptions({
    queryKey: ['identity', 'users'],
    queryFn: async () => (await api.get<{ readonly users: readonly User[] }>('/identity/v3/users')).users,
  });
export const roleList = (api: Api) =>
  queryOptions({
    queryKey: ['identity', 'roles'],
    queryFn: async () => (await api.get<{ readonly roles: readonly Role[] }>('/identity/v3/roles')).roles,
  });
/** As they were given: implied roles are not listed. */
export const roleAssignments = (api: Api) =>
  queryOptions({
    queryKey: ['identity', 'assignments'],
    queryFn: async () =>
      (await api.get<{ readonly role_assignments: readonly RoleAssignment[] }>('/identity/v3/role_assignments?include_names=true'))
        .role_assignments,
  });

export const createProject = async (api: Api, project: { readonly name: string; readonly description?: string }): Promise<unknown> =>
  api.send('POST', '/identity/v3/projects', { project });
export const changeProject = async (api: Api, id: string, project: Partial<Omit<IdentityProject, 'id'>>): Promise<unknown> =>
  api.send('PATCH', `/identity/v3/projects/${id}`, { project });
export const deleteProject = async (api: Api, id: string): Promise<unknown> => api.send('DELETE', `/identity/v3/projects/${id}`);

export const createUser = async (
  api: Api,
  user: { readonly name: string; readonly password: string; readonly email?: string; readonly default_project_id?: string },
): Promise<User> => (await api.send<{ readonly user: User }>('POST', '/identity/v3/users', { user })).user;
export const changeUser = async (
  api: Api,
  id: string,
  user: { readonly enabled?: boolean; readonly password?: string },
): Promise<unknown> => api.send('PATCH', `/identity/v3/users/${id}`, { user });
export const deleteUser = async (api: Api, id: string): Promise<unknown> => api.send('DELETE', `/identity/v3/users/${id}`);

/** PUT gives the role in the project, DELETE takes it away. */
export const changeGrant = async (
  api: Api,
  method: 'PUT' | 'DELETE',
  grant: { readonly project: string; readonly user: string; readonly role: string },
): Promise<unknown> => api.send(method, `/identity/v3/projects/${grant.project}/users/${grant.user}/roles/${grant.role}`);
