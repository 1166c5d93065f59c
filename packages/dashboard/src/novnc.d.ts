/** The part of noVNC's RFB that is used here; the package brings no types. Source: its docs/API.md, 1.7. */
declare module '@novnc/novnc' {
  export default class RFB {
    constructor(target: HTMLElement, urlOrChannel: string | WebSocket, options?: { readonly shared?: boolean });
    scaleViewport: boolean;
    background: string;
    addEventListener(event: 'connect' | 'disconnect', listener: () => void): void;
    disconnect(): void;
    sendCtrlAltDel(): void;
  }
}
