import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type KeyboardEvent, useDeferredValue, useState } from 'react';
import { hostList } from '../api/hosts.ts';
import { serversNamed } from '../api/servers.ts';
import { isAdmin } from '../api/session.ts';
import { matching } from '../model/palette-match.ts';
import { sidebar } from '../sidebar.ts';
import { Dialog } from './dialog.tsx';
import { useApi } from './signed-in.tsx';

type Target = {
  readonly key: string;
  readonly text: string;
  readonly kind: string;
  readonly path: string;
  readonly search: Readonly<Record<string, string>>;
};

/** Ctrl-K: type a few letters of a page, an instance or a host; Enter opens it. */
export function CommandPalette({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  const navigate = useNavigate();
  const admin = isAdmin(api.session);
  const view = admin ? 'admin' : 'project';
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const [first = ''] = text.trim().split(/\s+/);
  const servers = useQuery(serversNamed(api, view, useDeferredValue(first)));
  const hosts = useQuery({ ...hostList(api), enabled: admin });
  const pages = (['admin', 'project'] as const)
    .filter((one) => one === 'project' || admin)
    .flatMap((one) =>
      sidebar[one].flatMap((group) =>
        group.pages.map((page): Target => ({ key: page.path, text: page.title, kind: `${one} page`, path: page.path, search: {} })),
      ),
    );
  const targets: readonly Target[] = [
    ...pages,
    ...(servers.data ?? []).map(
      ({ id, name }): Target => ({ key: id, text: name, kind: 'instance', path: `/${view}/instances/${id}`, search: {} }),
    ),
    ...(hosts.data ?? []).map(
      ({ name }): Target => ({ key: `host ${name}`, text: name, kind: 'host', path: '/admin/instances', search: { host: name } }),
    ),
  ];
  const found = matching(targets, text, (target) => `${target.text} ${target.key}`).slice(0, 12);
  const chosen = found[Math.min(at, found.length - 1)];
  const open = (target: Target | undefined): void => {
    if (target === undefined) return;
    void navigate({ to: target.path, search: target.search });
    onClose();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === 'Enter') open(chosen);
    else if (event.key === 'ArrowDown') setAt(Math.min(at + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0));
    else return;
    event.preventDefault();
  };
  return (
    <Dialog footer={null} onCancel={onClose} title="Go to">
      <input
        className="palette-input"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={chosen === undefined ? undefined : `palette-${chosen.key}`}
        aria-label="Page, instance or host"
        placeholder="Page, instance or host"
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={key}
      />
      <div id="palette-list" className="palette-list" role="listbox" aria-label="Matches">
        {found.map((target) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the combobox that owns the list
          <div
            key={target.key}
            id={`palette-${target.key}`}
            role="option"
            tabIndex={-1}
            aria-selected={target === chosen}
            onClick={() => open(target)}
          >
            {target.text} <span className="muted">{target.kind}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="muted">Nothing is called so.</p>}
    </Dialog>
  );
}
