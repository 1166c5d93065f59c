import RFB from '@novnc/novnc';
import { Button } from 'antd';
import { useCallback, useRef } from 'react';
import { consoleSocketUrl } from '../api/consoles.ts';
import type { Server } from '../api/servers.ts';
import { AttachmentNote } from './attachment-note.tsx';
import { useApi } from './signed-in.tsx';
import { type Connect, useAttached } from './use-attached.ts';

/** The guest's screen, keyboard and mouse of an instance whose display this person may see. */
export function Display({ server }: { readonly server: Server }) {
  const api = useApi();
  const url = useCallback(async () => consoleSocketUrl(api, server.id, 'vnc'), [api, server.id]);
  return <DisplayOf url={url} name={server.name} />;
}

/**
 * A display by noVNC. When the guest moves the connection has to be made anew; the last picture stays until the new one is drawn.
 * `url` must be the same function at every render.
 */
export function DisplayOf({ url, name }: { readonly url: () => Promise<string>; readonly name: string }) {
  const node = useRef<HTMLDivElement>(null);
  const shown = useRef<RFB | null>(null);
  const connect: Connect = useCallback(
    async (attached, signal) => {
      const target = node.current;
      if (target === null) return null;
      const socket = new WebSocket(await url());
      const layer = document.createElement('div');
      layer.className = 'display-layer';
      const before = [...target.children];
      target.prepend(layer);
      let code: number | null = null;
      socket.addEventListener('close', (event) => {
        code = event.code;
      });
      return new Promise((resolve) => {
        const rfb = new RFB(layer, socket, { shared: true });
        rfb.scaleViewport = true;
        rfb.background = '#0b0f14';
        let canvas: HTMLCanvasElement | null = null;
        rfb.addEventListener('connect', () => {
          for (const old of before) old.remove();
          canvas = layer.querySelector('canvas');
          canvas?.setAttribute('aria-label', `Display of ${name}`);
          shown.current = rfb;
          attached();
        });
        rfb.addEventListener('disconnect', () => {
          // A picture stays for the next connection to replace; an attempt that showed none leaves nothing.
          if (canvas !== null) freeze(canvas, layer);
          else layer.remove();
          resolve(code);
        });
        signal.addEventListener('abort', () => rfb.disconnect());
      });
    },
    [url, name],
  );
  const attachment = useAttached(connect);
  return (
    <>
      <AttachmentNote attachment={attachment} />
      <section className="display" ref={node} aria-label={`Display of ${name}`} data-attached={attachment.kind === 'attached'} />
      <p style={{ margin: '8px 0 0' }}>
        <Button size="small" disabled={attachment.kind !== 'attached'} onClick={() => shown.current?.sendCtrlAltDel()}>
          Send Ctrl+Alt+Del
        </Button>
      </p>
    </>
  );
}

/** noVNC takes its canvas away when it disconnects; the picture is kept in its place. */
function freeze(canvas: HTMLCanvasElement, layer: HTMLElement): void {
  const picture = document.createElement('canvas');
  picture.width = canvas.width;
  picture.height = canvas.height;
  picture.style.cssText = canvas.style.cssText;
  picture.getContext('2d')?.drawImage(canvas, 0, 0);
  layer.replaceChildren(picture);
}
