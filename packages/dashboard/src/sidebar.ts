export type View = 'admin' | 'project';
type Group = { readonly title: string; readonly pages: readonly { readonly title: string; readonly path: string }[] };

/** What the two sidebars list, in order. */
export const sidebar: Readonly<Record<View, readonly Group[]>> = {
  admin: [{ title: 'Compute', pages: [{ title: 'Instances', path: '/admin/instances' }] }],
  project: [{ title: 'Compute', pages: [{ title: 'Instances', path: '/project/instances' }] }],
};
