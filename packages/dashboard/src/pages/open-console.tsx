import { useCallback } from 'react';
import { socketOf } from '../api/consoles.ts';
import { DisplayOf } from '../components/display.tsx';

/** A display opened by its URL alone, as `openstack console url show` prints it. */
export function OpenConsole() {
  const url = useCallback(async () => Promise.resolve(socketOf(new URLSearchParams(window.location.search).get('token') ?? '')), []);
  return (
    <main style={{ padding: 16 }}>
      <h1 style={{ marginBottom: 8 }}>Console</h1>
      <DisplayOf url={url} name="the instance" />
    </main>
  );
}
