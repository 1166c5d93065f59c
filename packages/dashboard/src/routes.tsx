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
const project = createRoute({ getParentRoute: () => signedIn, path: '/project', component: Outlet });

const adminPages = [
  createRoute({
    getParentRoute: () => admin,
    path: 'instances',
    component: lazyRouteComponent(async () => import('./pages/admin-instances.tsx'), 'AdminInstances'),
  }),
];
const projectPages = [
  createRoute({
    getParentRoute: () => project,
    path: 'instances',
    component: lazyRouteComponent(async () => import('./pages/project-instances.tsx'), 'ProjectInstances'),
  }),
];

const tree = root.addChildren([signIn, signedIn.addChildren([home, admin.addChildren(adminPages), project.addChildren(projectPages)])]);

export const createAppRouter = (queries: QueryClient) => createRouter({ routeTree: tree, context: { queries }, defaultPreload: 'intent' });

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
