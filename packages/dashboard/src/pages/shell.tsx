import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { Button, Segmented } from 'antd';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { isAdmin } from '../api/session.ts';
import { endSession } from '../api/session-handover.ts';
import { useMode } from '../components/appearance.tsx';
import { LiveProvider, useLive } from '../components/live.tsx';
import { MenuButton } from '../components/menu-button.tsx';
import { Outcomes } from '../components/outcomes.tsx';
import { useSession } from '../components/signed-in.tsx';
import { sidebar, type View } from '../sidebar.ts';
import { words } from '../words.ts';

const CommandPalette = lazy(async () => ({ default: (await import('../components/command-palette.tsx')).CommandPalette }));
const OpenrcDialog = lazy(async () => ({ default: (await import('../dialogs/openrc.tsx')).OpenrcDialog }));

/** Header, the sidebar of the chosen view, and the page. The Administrator view exists only with role admin. */
export function Shell() {
  return (
    <LiveProvider>
      <Frame />
      <Outcomes />
    </LiveProvider>
  );
}

function Frame() {
  const session = useSession();
  const location = useLocation();
  const navigate = useNavigate();
  // Pages of neither view, such as the guide, are in the one that the person works in.
  const view: View =
    location.pathname.startsWith('/project') || (!location.pathname.startsWith('/admin') && !isAdmin(session)) ? 'project' : 'admin';
  const main = useRef<HTMLElement>(null);
  const [palette, setPalette] = useState(false);
  const [menu, setMenu] = useState(false);
  // On a phone the menu stands above the page: it goes when a page has been chosen.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the change of page that matters
  useEffect(() => {
    setMenu(false);
    // What was chosen has gone with its page: the keyboard goes on in the new one.
    requestAnimationFrame(() => {
      if (document.activeElement === document.body) main.current?.focus({ preventScroll: true });
    });
  }, [location.pathname]);
  useEffect(() => {
    const open = (event: KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        setPalette(true);
      }
    };
    window.addEventListener('keydown', open);
    return () => window.removeEventListener('keydown', open);
  }, []);
  return (
    <div className="frame">
      <header>
        <button type="button" className="skip-link" onClick={() => main.current?.focus()}>
          Skip to the page
        </button>
        <Button className="nav-toggle" size="small" aria-expanded={menu} aria-controls="nav" onClick={() => setMenu(!menu)}>
          Menu
        </Button>
        <Link to="/" style={{ fontWeight: 600, fontSize: 16, textDecoration: 'none' }}>
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
            onChange={(next) => void navigate({ to: next === 'admin' ? '/admin/instances' : '/project/instances' })}
          />
        )}
        <span className="grow" />
        <Button size="small" onClick={() => setPalette(true)}>
          Go to… <kbd>Ctrl K</kbd>
        </Button>
        <LiveMark />
        <UserMenu />
      </header>
      <nav id="nav" className={menu ? 'open' : ''} aria-label={view === 'admin' ? words.views.administrator : words.views.project}>
        {sidebar[view].map((group) => (
          <section key={group.title} aria-label={group.title}>
            <h2>{group.title}</h2>
            <ul>
              {group.pages.map((page) => (
                <li key={page.path}>
                  <Link to={page.path} aria-current={location.pathname.startsWith(page.path) ? 'page' : undefined}>
                    {page.title}
                  </Link>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </nav>
      <main ref={main} id="main" tabIndex={-1}>
        <Outlet />
      </main>
      {palette && (
        <Suspense>
          <CommandPalette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  );
}

function LiveMark() {
  const live = useLive();
  return (
    <span
      className={`status ${live ? 'good' : 'warn'}`}
      title={live ? 'Changes arrive as they happen' : 'The event stream is cut; pages look again every few seconds'}
    >
      {live ? 'Live' : 'Reconnecting'}
    </span>
  );
}

function UserMenu() {
  const session = useSession();
  const { mode, setMode } = useMode();
  const [openrc, setOpenrc] = useState(false);
  return (
    <>
      <MenuButton
        items={[
          { key: 'who', label: `${session.user.name} in project ${session.project.name}`, disabled: true },
          { key: 'mode', label: mode === 'dark' ? 'Light appearance' : 'Dark appearance' },
          { key: 'openrc', label: 'Download openrc.sh' },
          { key: 'out', label: 'Sign out' },
        ]}
        onChoose={(entry) => {
          if (entry === 'mode') setMode(mode === 'dark' ? 'light' : 'dark');
          else if (entry === 'openrc') setOpenrc(true);
          else void endSession(session);
        }}
        button={{ type: 'text', children: `${session.user.name} · ${session.project.name}` }}
      />
      {openrc && (
        <Suspense>
          <OpenrcDialog onClose={() => setOpenrc(false)} />
        </Suspense>
      )}
    </>
  );
}
