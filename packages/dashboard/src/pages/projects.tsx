import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useState } from 'react';
import { changeProject, createProject, deleteProject, type IdentityProject, identityProjects, roleAssignments } from '../api/identity.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';

/** Projects, and who is in each. */
export function Projects() {
  const api = useApi();
  const [creating, setCreating] = useState(false);
  const projects = useQuery(identityProjects(api));
  const assignments = useQuery(roleAssignments(api));
  const { busy, run } = useChange('identity');
  const columns: readonly Column<IdentityProject>[] = [
    { key: 'name', title: 'Name', sortBy: (project) => project.name, render: (project) => <strong>{project.name}</strong> },
    { key: 'id', title: 'ID', className: 'wide', render: (project) => <CopyableId id={project.id} short what={project.name} /> },
    { key: 'description', title: 'Description', render: (project) => project.description || '–' },
    {
      key: 'enabled',
      title: 'State',
      sortBy: (project) => String(project.enabled),
      render: (project) => (
        <span className={`status ${project.enabled ? 'good' : 'warn'}`}>{project.enabled ? 'enabled' : 'disabled'}</span>
      ),
    },
    {
      key: 'users',
      title: 'Users',
      render: (project) => {
        const own = (assignments.data ?? []).filter(({ scope }) => scope.project?.id === project.id);
        const byUser = Map.groupBy(own, ({ user }) => user.name);
        return byUser.size === 0 ? (
          <span className="muted">none</span>
        ) : (
          [...byUser].map(([user, roles]) => `${user} (${roles.map(({ role }) => role.name).join(', ')})`).join(', ')
        );
      },
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 170,
      render: (project) => (
        <span style={{ display: 'inline-flex', gap: 6 }}>
          <Button
            size="small"
            disabled={busy || project.id === api.session.project.id}
            title={project.id === api.session.project.id ? 'You are signed in to it.' : undefined}
            aria-label={`${project.enabled ? 'Disable' : 'Enable'} project ${project.name}`}
            onClick={() =>
              void run(`Project ${project.name} ${project.enabled ? 'disabled' : 'enabled'}`, () =>
                changeProject(api, project.id, { enabled: !project.enabled }),
              )
            }
          >
            {project.enabled ? 'Disable' : 'Enable'}
          </Button>
          <DeleteButton
            what="project"
            name={project.name}
            whyNot={project.id === api.session.project.id ? 'You are signed in to it.' : undefined}
            onDelete={() => run(`Project ${project.name} deleted`, () => deleteProject(api, project.id))}
          />
        </span>
      ),
    },
  ];
  return (
    <>
      <PageHead title="Projects">
        <Button type="primary" onClick={() => setCreating(true)}>
          Create Project
        </Button>
      </PageHead>
      {projects.isError && <Problem error={projects.error} what="The projects could not be listed." />}
      <DataTable<IdentityProject>
        label="Projects"
        tall
        columns={columns}
        rows={projects.data ?? []}
        rowKey={(project) => project.id}
        loading={projects.isPending}
        empty="There are no projects."
      />
      {creating && (
        <FormDialog<{ readonly name: string; readonly description?: string }>
          title="Create Project"
          ok="Create"
          refreshes="identity"
          onSubmit={(project) => createProject(api, project)}
          said={({ name }) => `Project ${name} created`}
          onClose={() => setCreating(false)}
        >
          <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
            <Input autoFocus maxLength={64} />
          </Form.Item>
          <Form.Item name="description" label="Description">
            <Input maxLength={255} />
          </Form.Item>
        </FormDialog>
      )}
    </>
  );
}
