import { words } from './words.ts';

export type View = 'admin' | 'project';
export type SidebarPage = { readonly title: string; readonly path: string };
type Group = { readonly title: string; readonly pages: readonly SidebarPage[] };

/** What the two sidebars list, in order. A page is listed when it works. */
export const sidebar: Readonly<Record<View, readonly Group[]>> = {
  admin: [
    {
      title: 'Compute',
      pages: [
        { title: 'Instances', path: '/admin/instances' },
        { title: 'Migrations', path: '/admin/migrations' },
        { title: 'Compute Hosts', path: '/admin/hosts' },
        { title: 'Server Groups', path: '/admin/server-groups' },
        { title: 'Availability Zones / Aggregates', path: '/admin/aggregates' },
        { title: 'Flavors', path: '/admin/flavors' },
        { title: 'Images', path: '/admin/images' },
      ],
    },
    {
      title: 'Network',
      pages: [
        { title: 'Networks', path: '/admin/networks' },
        { title: 'Security Groups', path: '/admin/security-groups' },
      ],
    },
    {
      title: 'Identity',
      pages: [
        { title: 'Projects', path: '/admin/projects' },
        { title: 'Users', path: '/admin/users' },
        { title: 'Roles', path: '/admin/roles' },
        { title: words.quotas, path: '/admin/quotas' },
      ],
    },
    { title: 'Operation', pages: [{ title: 'Troubleshooting', path: '/admin/troubleshooting' }] },
  ],
  project: [
    {
      title: 'Compute',
      pages: [
        { title: 'Instances', path: '/project/instances' },
        { title: 'Images', path: '/project/images' },
        { title: 'Server Groups', path: '/project/server-groups' },
        { title: 'Key Pairs', path: '/project/key-pairs' },
        { title: words.quotas, path: '/project/quotas' },
      ],
    },
    {
      title: 'Network',
      pages: [
        { title: 'Networks', path: '/project/networks' },
        { title: 'Security Groups', path: '/project/security-groups' },
      ],
    },
  ],
};
