import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { Badge, Button, Dropdown, Layout, Menu, Segmented } from 'antd';
import { isAdmin, storeSession } from '../api/session.ts';
import { useMode } from '../components/appearance.tsx';
import { useLive } from '../components/live.tsx';
import { useSession } from '../components/signed-in.tsx';
import { sidebar, type View } from '../sidebar.ts';
import { words } from '../words.ts';

/** Header, the sidebar of the chosen view, and the page. The Administrator view exists only with role admin. */
export function Shell() {
  const session = useSession();
  const location = useLocation();
  const { mode, setMode } = useMode();
  const live = useLive();
  const view: View = location.pathname.startsWith('/admin') ? 'admin' : 'project';
  const groups = sidebar[view];
  const current = groups.flatMap((group) => group.pages).find((page) => location.pathname.startsWith(page.path))?.path;
  return (
    <Layout style={{ minHeight: '100vh' }}>
      <Layout.Header style={{ display: 'flex', alignItems: 'center', gap: 16, paddingInline: 16, height: 48, lineHeight: '48px' }}>
        <Link to="/" style={{ fontWeight: 600, fontSize: 16 }}>
          Godwit
        </Link>
        {isAdmin(session) && (
          <Segmented
            aria-label="View"
            value={view}
            options={[
              { value: 'admin', label: words.views.administrator },
              { value: 'project', label: words.views.project },
            ]}
            onChange={(next) => window.location.assign(`/${next}/instances`)}
          />
        )}
        <span style={{ flex: 1 }} />
        <Badge status={live ? 'success' : 'warning'} text={live ? 'Live' : 'Reconnecting'} />
        <Dropdown
          trigger={['click']}
          menu={{
            items: [
              { key: 'who', label: `${session.user.name} in ${session.project.name}`, disabled: true },
              {
                key: 'mode',
                label: mode === 'dark' ? 'Light appearance' : 'Dark appearance',
                onClick: () => setMode(mode === 'dark' ? 'light' : 'dark'),
              },
              {
                key: 'out',
                label: 'Sign out',
                onClick: () => {
                  storeSession(null);
                  window.location.assign('/sign-in');
                },
              },
            ],
          }}
        >
          <Button type="text">{session.user.name}</Button>
        </Dropdown>
      </Layout.Header>
      <Layout>
        <Layout.Sider width={208} breakpoint="lg" collapsedWidth={0} theme={mode}>
          <nav aria-label={view === 'admin' ? words.views.administrator : words.views.project}>
            <Menu
              mode="inline"
              theme={mode}
              selectedKeys={current === undefined ? [] : [current]}
              items={groups.map((group) => ({
                key: group.title,
                type: 'group' as const,
                label: group.title,
                children: group.pages.map((page) => ({ key: page.path, label: <Link to={page.path}>{page.title}</Link> })),
              }))}
            />
          </nav>
        </Layout.Sider>
        <Layout.Content style={{ padding: 16 }}>
          <main>
            <Outlet />
          </main>
        </Layout.Content>
      </Layout>
    </Layout>
  );
}
