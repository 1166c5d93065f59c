import { useQuery } from '@tanstack/react-query';
import { type Role, roleAssignments, roleList } from '../api/identity.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';

/** What the roles that the policy knows allow; others mean nothing to it. */
const explained: Readonly<Record<string, string>> = {
  admin: 'Everything, in every project: hosts, moves, identity. Implies member.',
  member: 'Acts on what the project has: launch, delete, start, stop, confirm and revert. Implies reader.',
  reader: 'Looks at what the project has.',
};

/** Roles, what they allow, and who has them. */
export function Roles() {
  const api = useApi();
  const roles = useQuery(roleList(api));
  const assignments = useQuery(roleAssignments(api));
  const columns: readonly Column<Role>[] = [
    { key: 'name', title: 'Name', sortBy: (role) => role.name, render: (role) => <strong>{role.name}</strong> },
    { key: 'id', title: 'ID', className: 'wide', render: (role) => <CopyableId id={role.id} short what={role.name} /> },
    {
      key: 'allows',
      title: 'Allows',
      render: (role) => explained[role.name] ?? (role.description || <span className="muted">Nothing that the policy knows.</span>),
    },
    {
      key: 'held',
      title: 'Held by',
      render: (role) => {
        const own = (assignments.data ?? []).filter((assignment) => assignment.role.id === role.id);
        return own.length === 0 ? (
          <span className="muted">nobody</span>
        ) : (
          own.map(({ user, scope }) => `${user.name} in ${scope.project?.name ?? `domain ${scope.domain?.name ?? ''}`}`).join(', ')
        );
      },
    },
  ];
  return (
    <>
      <PageHead title="Roles" />
      {roles.isError && <Problem error={roles.error} what="The roles could not be listed." />}
      <DataTable<Role>
        label="Roles"
        tall
        columns={columns}
        rows={roles.data ?? []}
        rowKey={(role) => role.id}
        loading={roles.isPending}
        empty="There are no roles."
      />
      <p className="muted">Roles are given to users in projects, on the page Users.</p>
    </>
  );
}
