import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input, Select, Tag } from 'antd';
import { useState } from 'react';
import {
  changeGrant,
  changeUser,
  createUser,
  deleteUser,
  identityProjects,
  roleAssignments,
  roleList,
  type User,
  userList,
} from '../api/identity.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';

type Dialog = { readonly kind: 'create' } | { readonly kind: 'grant' | 'password'; readonly user: User };

/** Users with their roles in projects. */
export function Users() {
  const api = useApi();
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const users = useQuery(userList(api));
  const assignments = useQuery(roleAssignments(api));
  const { busy, run } = useChange('identity');
  const close = (): void => setDialog(null);
  const columns: readonly Column<User>[] = [
    {
      key: 'name',
      title: 'Name',
      sortBy: (user) => user.name,
      render: (user) => (
        <>
          <strong>{user.name}</strong> {user.id === api.session.user.id && <span className="muted">you</span>}
        </>
      ),
    },
    { key: 'id', title: 'ID', className: 'wide', render: (user) => <CopyableId id={user.id} short what={user.name} /> },
    { key: 'email', title: 'Email', render: (user) => user.email || '–' },
    {
      key: 'enabled',
      title: 'State',
      sortBy: (user) => String(user.enabled),
      render: (user) => <span className={`status ${user.enabled ? 'good' : 'warn'}`}>{user.enabled ? 'enabled' : 'disabled'}</span>,
    },
    {
      key: 'roles',
      title: 'Roles in projects',
      render: (user) => (
        <span style={{ display: 'inline-flex', flexWrap: 'wrap', gap: 4, alignItems: 'center' }}>
          {(assignments.data ?? [])
            .filter((assignment) => assignment.user.id === user.id)
            .map(({ role, scope }) => {
              const project = scope.project;
              const text = `${role.name} in ${project?.name ?? `domain ${scope.domain?.name ?? ''}`}`;
              return (
                <Tag key={text} style={{ margin: 0 }}>
                  {text}{' '}
                  {project !== undefined && (
                    <Button
                      type="text"
                      size="small"
                      disabled={busy}
                      aria-label={`Take ${text} from ${user.name}`}
                      onClick={() =>
                        void run(`${text} taken from ${user.name}`, () =>
                          changeGrant(api, 'DELETE', { project: project.id, user: user.id, role: role.id }),
                        )
                      }
                    >
                      ×
                    </Button>
                  )}
                </Tag>
              );
            })}
          <Button size="small" aria-label={`Give a role: ${user.name}`} onClick={() => setDialog({ kind: 'grant', user })}>
            Give a role
          </Button>
        </span>
      ),
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 260,
      render: (user) => {
        const self = user.id === api.session.user.id;
        return (
          <span style={{ display: 'inline-flex', gap: 6 }}>
            <Button size="small" aria-label={`Set the password of ${user.name}`} onClick={() => setDialog({ kind: 'password', user })}>
              Password
            </Button>
            <Button
              size="small"
              disabled={busy || self}
              title={self ? 'That is you.' : undefined}
              aria-label={`${user.enabled ? 'Disable' : 'Enable'} user ${user.name}`}
              onClick={() =>
                void run(`User ${user.name} ${user.enabled ? 'disabled' : 'enabled'}`, () =>
                  changeUser(api, user.id, { enabled: !user.enabled }),
                )
              }
            >
              {user.enabled ? 'Disable' : 'Enable'}
            </Button>
            {!self && (
              <DeleteButton
                what="user"
                name={user.name}
                onDelete={() => run(`User ${user.name} deleted`, () => deleteUser(api, user.id))}
              />
            )}
          </span>
        );
      },
    },
  ];
  return (
    <>
      <PageHead title="Users">
        <Button type="primary" onClick={() => setDialog({ kind: 'create' })}>
          Create User
        </Button>
      </PageHead>
      {users.isError && <Problem error={users.error} what="The users could not be listed." />}
      <DataTable<User>
        label="Users"
        tall
        columns={columns}
        rows={users.data ?? []}
        rowKey={(user) => user.id}
        loading={users.isPending}
        empty="There are no users."
      />
      {dialog?.kind === 'create' && <CreateUser onClose={close} />}
      {dialog?.kind === 'grant' && <GiveRole user={dialog.user} onClose={close} />}
      {dialog?.kind === 'password' && <SetPassword user={dialog.user} onClose={close} />}
    </>
  );
}

const passwordRules = [{ required: true, min: 8, message: 'At least eight characters.' }];

function RoleFields() {
  const api = useApi();
  const projects = useQuery(identityProjects(api));
  const roles = useQuery(roleList(api));
  return (
    <>
      <Form.Item name="project" label="Project" rules={[{ required: true, message: 'Choose a project.' }]}>
        <Select options={(projects.data ?? []).map(({ id, name }) => ({ value: id, label: name }))} />
      </Form.Item>
      <Form.Item
        name="role"
        label="Role"
        extra="admin may do everything; member acts in the project; reader looks."
        rules={[{ required: true, message: 'Choose a role.' }]}
      >
        <Select options={(roles.data ?? []).map(({ id, name }) => ({ value: id, label: name }))} />
      </Form.Item>
    </>
  );
}

type NewUser = {
  readonly name: string;
  readonly password: string;
  readonly email?: string;
  readonly project: string;
  readonly role: string;
};

function CreateUser({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  const create = async ({ name, password, email, project, role }: NewUser): Promise<void> => {
    const user = await createUser(api, {
      name,
      password,
      default_project_id: project,
      ...(email === undefined || email === '' ? {} : { email }),
    });
    await changeGrant(api, 'PUT', { project, user: user.id, role });
  };
  return (
    <FormDialog<NewUser>
      title="Create User"
      ok="Create"
      refreshes="identity"
      onSubmit={create}
      said={({ name }) => `User ${name} created`}
      onClose={onClose}
    >
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus autoComplete="off" maxLength={255} />
      </Form.Item>
      <Form.Item name="password" label="Password" rules={passwordRules}>
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Form.Item name="email" label="Email">
        <Input type="email" autoComplete="off" />
      </Form.Item>
      <RoleFields />
    </FormDialog>
  );
}

function GiveRole({ user, onClose }: { readonly user: User; readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<{ readonly project: string; readonly role: string }>
      title={`Give ${user.name} a role`}
      ok="Give"
      refreshes="identity"
      onSubmit={({ project, role }) => changeGrant(api, 'PUT', { project, user: user.id, role })}
      said={() => `${user.name} has the role`}
      onClose={onClose}
    >
      <RoleFields />
    </FormDialog>
  );
}

function SetPassword({ user, onClose }: { readonly user: User; readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<{ readonly password: string }>
      title={`Set the password of ${user.name}`}
      ok="Set"
      refreshes="identity"
      onSubmit={({ password }) => changeUser(api, user.id, { password })}
      said={() => `Password of ${user.name} set`}
      onClose={onClose}
    >
      <p>Every session of {user.name} ends: its tokens hold no longer.</p>
      <Form.Item name="password" label="New password" rules={passwordRules}>
        <Input.Password autoFocus autoComplete="new-password" />
      </Form.Item>
    </FormDialog>
  );
}
