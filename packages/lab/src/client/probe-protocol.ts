/** What the probe in the client's namespace is asked, one JSON object a line on its standard input; one answer a line back, by `id`. */
export type ProbeRequest = { readonly id: number } & (
  | { readonly op: 'watch'; readonly address: string; readonly connections: number; readonly everyMs: number }
  | { readonly op: 'unwatch'; readonly address: string }
  /** Begins a new window: silences and heartbeats before now are forgotten. */
  | { readonly op: 'reset' }
  | { readonly op: 'report' }
  /** One line to the guest's control port, its JSON answer back. */
  | { readonly op: 'control'; readonly address: string; readonly line: string; readonly timeoutMs: number }
);

export type ProbeAnswer = { readonly id: number } & (
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string }
);

/** One window, of one guest, as seen from the client. */
export interface ClientReport {
  readonly address: string;
  readonly tcp: {
    readonly connections: number;
    /** Connections that ended since the window began; they are opened again. */
    readonly resets: number;
    /** Longest time in which a connection, asked all the time, heard nothing. The worst of all connections. */
    readonly longestSilenceMs: number;
    /** Longest time from a question to its echo. */
    readonly longestRoundTripMs: number;
    readonly echoes: number;
    /** Echoes that differ from what was sent, in bytes or order. */
    readonly corrupt: number;
  };
  readonly heartbeat: {
    readonly largestGapMs: number;
    /** How far the guest's own clock went meanwhile: it stood still while the guest did, so this is time in which the guest ran and said nothing. */
    readonly largestGapGuestMs: number;
    readonly received: number;
    readonly nonces: readonly string[];
    readonly lastCounter: number;
  };
}
