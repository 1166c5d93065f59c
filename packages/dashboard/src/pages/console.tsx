import { Alert, Segmented } from 'antd';
import { lazy, Suspense, useState } from 'react';
import type { Server } from '../api/servers.ts';
import type { View } from '../sidebar.ts';
import { words } from '../words.ts';
import { ConsoleLog } from './console-log.tsx';

const SerialConsole = lazy(async () => ({ default: (await import('../components/serial-console.tsx')).SerialConsole }));
const Display = lazy(async () => ({ default: (await import('../components/display.tsx')).Display }));

const kinds = ['serial', 'display', 'log'] as const;
type Kind = (typeof kinds)[number];

/** The guest's serial console, its display, or the end of the console's log. The first two stay attached when the guest moves. */
export function Console({ server, view }: { readonly server: Server; readonly view: View }) {
  const [kind, setKind] = useState<Kind>('serial');
  const hasDisplay = server.flavor.extra_specs?.['godwit:display'] === 'vnc';
  return (
    <>
      <div className="choice">
        <Segmented
          aria-label="Kind of console"
          value={kind}
          options={kinds.map((value) => ({ value, label: words.consoles[value], disabled: value === 'display' && !hasDisplay }))}
          onChange={setKind}
        />{' '}
        {!hasDisplay && <span className="muted">No display: the flavor’s extra spec godwit:display=vnc would give the instance one.</span>}
      </div>
      <Suspense fallback={<p className="muted">Loading…</p>}>
        {kind === 'log' && <ConsoleLog server={server} />}
        {kind === 'serial' && <SerialConsole key={server.id} server={server} showHost={view === 'admin'} />}
        {kind === 'display' && hasDisplay && <Display key={server.id} server={server} />}
        {kind === 'display' && !hasDisplay && <Alert type="info" title="This instance has no display." />}
      </Suspense>
    </>
  );
}
