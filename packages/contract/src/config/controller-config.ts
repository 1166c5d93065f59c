/** The controller's configuration file (YAML, or JSON); every key may be overridden by the environment variable named beside it. */
export type ControllerConfig = {
  /** GODWIT_STATE_DIR: embedded database, image store, secrets. */
  readonly stateDir: string;
  /** DATABASE_URL: your own PostgreSQL (15+); absent: the embedded one under stateDir. */
  readonly databaseUrl?: string;
  /** Public APIs and dashboard: an inherited socket (systemd socket activation: LISTEN_FDS, fd 3) or an address. */
  readonly listen: { readonly inherited: true } | { readonly address: string; readonly port: number };
  /** GODWIT_PUBLIC_URL: what the catalog and version links say, e.g. http://127.0.0.1:8774 */
  readonly publicUrl: string;
  /** Listener for agents (TLS by the cluster's own CA). `names` are IPs/DNS names for its certificate. */
  readonly agentListen: { readonly address: string; readonly port: number; readonly names: readonly string[] };
  /** Where uploaded images are kept, default <stateDir>/images. */
  readonly imageDir?: string;
  /** Name of this controller in the executors table; default host name and pid. */
  readonly executorName?: string;
  /** Region of the catalog, default RegionOne. */
  readonly region?: string;
  /** With `bootstrap`: writes the admin's password here (0600) instead of printing it. */
  readonly bootstrapOutput?: string;
  readonly cpuAllocationRatio?: number;
  readonly ramAllocationRatio?: number;
  readonly diskAllocationRatio?: number;
  readonly limits?: {
    readonly outgoingPerHost?: number;
    readonly incomingPerHost?: number;
    readonly total?: number;
    readonly preparedAhead?: number;
  };
  /** Seconds after which a finished cold migration or resize is confirmed by itself; default 0: never. */
  readonly resizeConfirmWindowSeconds?: number;
  /** Seconds after which a shelved server gives up its place on its host; default 0: at once; -1: only when an admin asks. */
  readonly shelvedOffloadSeconds?: number;
  /** Default true: near its stop a guest's frames are copied to the destination too, so that none is lost. False is for measuring what that is worth. */
  readonly networkSwitch?: boolean;
  /** Certificate chain and key (PEM files) of the public listener; read again at SIGHUP. Absent: plain HTTP, for a proxy in front. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** true: plain HTTP is served beyond loopback, passwords and tokens included. Default false: such a listener is refused. */
  readonly plainHttp?: boolean;
  /** Told of moves that failed or are stuck, and of forgotten Verify Resize; signed with the secret in `secretFile` (16 characters or more). */
  readonly webhook?: { readonly url: string; readonly secretFile: string };
  /** OTEL_EXPORTER_OTLP_ENDPOINT: an OTLP/HTTP collector that gets traces, e.g. http://collector:4318. Absent: none are made. */
  readonly tracing?: { readonly endpoint: string };
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
};
