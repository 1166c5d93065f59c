import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { consoleSocketUrl } from '../api/consoles.ts';
import type { Server } from '../api/servers.ts';
import { announce } from './announcer.tsx';
import { AttachmentNote } from './attachment-note.tsx';
import { useApi } from './signed-in.tsx';
import { type Connect, useAttached } from './use-attached.ts';

type Told = { readonly kind: 'host'; readonly name: string } | { readonly kind: 'place'; readonly place: string };

/**
 * The guest's serial port in a terminal: what it writes appears, what is typed goes in. When the guest moves, or the controller restarts, the log goes on at the byte where it was, and nothing is
 * shown twice.
 */
export function SerialConsole({ server, showHost }: { readonly server: Server; readonly showHost: boolean }) {
  const api = useApi();
  const { id, name } = server;
  const [host, setHost] = useState<string | null>(null);
  const node = useRef<HTMLDivElement>(null);
  const socket = useRef<WebSocket | null>(null);
  const terminal = useMemo(
    () =>
      new Terminal({
        scrollback: 5_000,
        fontSize: 13,
        fontFamily: 'ui-monospace, "Cascadia Mono", Menlo, monospace',
        theme: { background: '#0b0f14', foreground: '#d7dee8', cursor: '#2dd4bf' },
        screenReaderMode: true,
      }),
    [],
  );
  const place = useRef<string | null>(null);
  const told = useCallback(
    (event: Told): void => {
      if (event.kind === 'place') {
        place.current = event.place;
        return;
      }
      setHost((before) => {
        if (before !== null && before !== event.name && showHost) announce(`Console of ${name}: the guest is on ${event.name}`);
        return event.name;
      });
    },
    [name, showHost],
  );
  const connect: Connect = useCallback(
    async (attached, signal) => {
      const url = await consoleSocketUrl(api, id, 'serial');
      return new Promise((resolve) => {
        const made = new WebSocket(`${url}&events=1${place.current === null ? '' : `&from=${place.current}`}`);
        made.binaryType = 'arraybuffer';
        made.onopen = attached;
        made.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
          typeof data === 'string' ? told(JSON.parse(data) as Told) : terminal.write(new Uint8Array(data));
        made.onclose = ({ code }) => resolve(code);
        signal.addEventListener('abort', () => made.close());
        socket.current = made;
      });
    },
    [api, id, terminal, told],
  );
  const attachment = useAttached(connect);
  useEffect(() => {
    const target = node.current;
    if (target === null) return;
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(target);
    terminal.textarea?.setAttribute('aria-label', `Serial console of ${name}`);
    const typed = terminal.onData((text) => {
      if (socket.current?.readyState === WebSocket.OPEN) socket.current.send(new TextEncoder().encode(text));
    });
    // Tab belongs to the guest here; this is the way out for the keyboard.
    terminal.attachCustomKeyEventHandler((event) => !(event.key === 'Tab' && event.shiftKey));
    const observer = new ResizeObserver(() => fit.fit());
    observer.observe(target);
    return () => {
      observer.disconnect();
      typed.dispose();
    };
  }, [terminal, name]);
  useEffect(() => () => terminal.dispose(), [terminal]);
  return (
    <>
      <AttachmentNote attachment={attachment} more={showHost && host !== null ? `The guest is on ${host}.` : ''} />
      <section className="serial-terminal" ref={node} aria-label={`Serial console of ${name}`} />
      <p className="muted" style={{ margin: '4px 0 0' }}>
        Keys go to the guest; Shift+Tab leaves the terminal.
      </p>
    </>
  );
}
