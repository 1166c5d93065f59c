import type { QueryClient } from '@tanstack/react-query';
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router';
import { isAdmin, storedSession } from './api/session.ts';
import { AdministratorRequired } from './pages/administrator-required.tsx';
import { NotFound } from './pages/not-found.tsx';
import { Shell } from './pages/shell.tsx';

/**
 * The map of the application: every URL, the page behind it, and who may open it. A URL owns everything a page shows: filters,
 * the open tab, the open run; so every page survives a reload and can be sent to a colleague.
 */
const root = createRootRouteWithContext<{ readonly queries: QueryClient }>()({ component: Outlet, notFoundComponent: NotFound });

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  component: lazyRouteComponent(async () => import('./pages/sign-in.tsx'), 'SignIn'),
});

const signedIn = createRoute({
  getParentRoute: () => root,
  id: 'signed-in',
  beforeLoad: ({ location }) => {
    if (storedSession() === null) throw redirect({ to: '/sign-in', search: { next: location.href } });
  },
  component: Shell,
});

const home = createRoute({
  getParentRoute: () => signedIn,
  path: '/',
  beforeLoad: () => {
    const session = storedSession();
    throw redirect({ to: session !== null && isAdmin(session) ? '/admin/instances' : '/project/instances' });
  },
});

/** A member who opens an administrator's URL reads what is missing, not a blank page. */
const admin = createRoute({
  getParentRoute: () => signedIn,
  path: '/admin',
  component: () => {
    const session = storedSession();
    return session !== null && isAdmin(session) ? <Outlet /> : <AdministratorRequired />;
  },
});
/** What the compute API gives out as the URL of a display: the token in it is the authority, no sign-in is asked for. */
const openConsole = createRoute({
  getParentRoute: () => root,
  path: '/console',
  component: lazyRouteComponent(async () => import('./pages/open-console.tsx'), 'OpenConsole'),
});
const project = createRoute({ getParentRoute: () => signedIn, path: '/project', component: Outlet });
const guide = createRoute({
  getParentRoute: () => signedIn,
  path: '/guide',
  component: lazyRouteComponent(async () => import('./pages/guide.tsx'), 'Guide'),
});

/** Typed into a URL, `?name=1` is a number. */
const wordOf = (value: unknown): readonly string[] =>
  typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : typeof value === 'string' && value !== '' ? [value] : [];

/** What a page keeps in its URL: words only, and no key that it does not know. */
const texts =
  <Key extends string>(...keys: readonly Key[]) =>
  (search: Record<string, unknown>): { readonly [Name in Key]?: string } =>
    Object.fromEntries(keys.flatMap((key) => wordOf(search[key]).map((word) => [key, word]))) as {
      readonly [Name in Key]?: string;
    };

const instances = async () => import('./pages/instances.tsx');
const instance = async () => import('./pages/instance.tsx');
const migrations = async () => import('./pages/migrations.tsx');
const migration = async () => import('./pages/migration.tsx');
const bulk = async () => import('./pages/bulk.tsx');
const drain = async () => import('./pages/drain.tsx');
const operation = async () => import('./pages/operation.tsx');
const hosts = async () => import('./pages/hosts.tsx');
const serverGroups = async () => import('./pages/server-groups.tsx');
const aggregates = async () => import('./pages/aggregates.tsx');
const flavors = async () => import('./pages/flavors.tsx');
const images = async () => import('./pages/images.tsx');
const networks = async () => import('./pages/networks.tsx');
const securityGroups = async () => import('./pages/security-groups.tsx');
const troubleshooting = async () => import('./pages/troubleshooting.tsx');
const projects = async () => import('./pages/projects.tsx');
const users = async () => import('./pages/users.tsx');
const roles = async () => import('./pages/roles.tsx');
const quotas = async () => import('./pages/quotas.tsx');
const keyPairs = async () => import('./pages/key-pairs.tsx');

const under = <Parent extends typeof admin | typeof project>(parent: Parent) => ({ getParentRoute: () => parent });
const instanceFilters = texts('name', 'host', 'status', 'project', 'group');

const adminPages = [
  createRoute({
    ...under(admin),
    path: 'instances',
    validateSearch: instanceFilters,
    component: lazyRouteComponent(instances, 'AdminInstances'),
  }),
  createRoute({
    ...under(admin),
    path: 'instances/$id',
    validateSearch: texts('tab'),
    component: lazyRouteComponent(instance, 'AdminInstance'),
  }),
  createRoute({
    ...under(admin),
    path: 'migrations',
    validateSearch: texts('host', 'status'),
    component: lazyRouteComponent(migrations, 'Migrations'),
  }),
  createRoute({ ...under(admin), path: 'migrations/$id', component: lazyRouteComponent(migration, 'MigrationPage') }),
  createRoute({
    ...under(admin),
    path: 'bulk',
    validateSearch: texts('host', 'destination'),
    component: lazyRouteComponent(bulk, 'BulkLiveMigrate'),
  }),
  createRoute({ ...under(admin), path: 'drain', validateSearch: texts('hosts', 'kind'), component: lazyRouteComponent(drain, 'Drain') }),
  createRoute({
    ...under(admin),
    path: 'operations/$id',
    validateSearch: texts('state'),
    component: lazyRouteComponent(operation, 'OperationPage'),
  }),
  createRoute({ ...under(admin), path: 'hosts', validateSearch: texts('name'), component: lazyRouteComponent(hosts, 'Hosts') }),
  createRoute({ ...under(admin), path: 'server-groups', component: lazyRouteComponent(serverGroups, 'AdminServerGroups') }),
  createRoute({ ...under(admin), path: 'aggregates', component: lazyRouteComponent(aggregates, 'Aggregates') }),
  createRoute({ ...under(admin), path: 'flavors', component: lazyRouteComponent(flavors, 'Flavors') }),
  createRoute({ ...under(admin), path: 'images', component: lazyRouteComponent(images, 'Images') }),
  createRoute({ ...under(admin), path: 'networks', component: lazyRouteComponent(networks, 'Networks') }),
  createRoute({ ...under(admin), path: 'security-groups', component: lazyRouteComponent(securityGroups, 'AdminSecurityGroups') }),
  createRoute({ ...under(admin), path: 'troubleshooting', component: lazyRouteComponent(troubleshooting, 'Troubleshooting') }),
  createRoute({ ...under(admin), path: 'projects', component: lazyRouteComponent(projects, 'Projects') }),
  createRoute({ ...under(admin), path: 'users', component: lazyRouteComponent(users, 'Users') }),
  createRoute({ ...under(admin), path: 'roles', component: lazyRouteComponent(roles, 'Roles') }),
  createRoute({
    ...under(admin),
    path: 'quotas',
    validateSearch: texts('project', 'days'),
    component: lazyRouteComponent(quotas, 'AdminQuotas'),
  }),
] as const;
const projectPages = [
  createRoute({
    ...under(project),
    path: 'instances',
    validateSearch: instanceFilters,
    component: lazyRouteComponent(instances, 'ProjectInstances'),
  }),
  createRoute({
    ...under(project),
    path: 'instances/$id',
    validateSearch: texts('tab'),
    component: lazyRouteComponent(instance, 'ProjectInstance'),
  }),
  createRoute({ ...under(project), path: 'images', component: lazyRouteComponent(images, 'Images') }),
  createRoute({ ...under(project), path: 'server-groups', component: lazyRouteComponent(serverGroups, 'ProjectServerGroups') }),
  createRoute({ ...under(project), path: 'networks', component: lazyRouteComponent(networks, 'Networks') }),
  createRoute({ ...under(project), path: 'security-groups', component: lazyRouteComponent(securityGroups, 'ProjectSecurityGroups') }),
  createRoute({ ...under(project), path: 'key-pairs', component: lazyRouteComponent(keyPairs, 'KeyPairs') }),
  createRoute({
    ...under(project),
    path: 'quotas',
    validateSearch: texts('days'),
    component: lazyRouteComponent(quotas, 'ProjectQuotas'),
  }),
] as const;

const tree = root.addChildren([
  signIn,
  openConsole,
  signedIn.addChildren([home, guide, admin.addChildren(adminPages), project.addChildren(projectPages)]),
]);

export const createAppRouter = (queries: QueryClient) => createRouter({ routeTree: tree, context: { queries }, defaultPreload: 'intent' });
