import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';
import { type Client, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { certificateRole } from '@godwit/contract/certificate-names';
import { Agent } from '@godwit/contract/gen/agent_pb';
import { GuestNetwork } from '@godwit/contract/gen/network_pb';
import { guardSessions } from '@godwit/contract/rpc/guarded-sessions';
import { GodwitError } from '@godwit/domain/errors';
import type { HostId } from '@godwit/domain/ids';
import { sendScope } from '@godwit/telemetry/request-scope';
import { traced } from '@godwit/telemetry/tracing';
import type { OwnCertificate } from '../auth/own-certificate.ts';
import type { Db } from '../store/database.ts';

export type AgentClient = Client<typeof Agent>;

export type NetworkClient = Client<typeof GuestNetwork>;

/** The same connections, for what the agents do for their guests' networks. */
export type NetworkAgents = { readonly network: (host: HostId) => Promise<NetworkClient> };

/** RPC clients to the hosts' agents, over mTLS; the connection to a host is kept open and shared. */
export type Agents = {
  /**
   * The client of one host. Calls reject with ConnectError; `refusalOf` reads the code out of it.
   * Throws GodwitError HostNotFound when there is no such host.
   */
  readonly client: (host: HostId) => Promise<AgentClient>;
  /** Forgets the connection to a host whose address or certificate changed. */
  readonly forget: (host: HostId) => void;
  readonly close: () => Promise<void>;
};

// A half-open link looks alive for minutes: a connection whose ping stays unanswered this long is dead.
const PING_INTERVAL_MS = 2_000;
const PING_TIMEOUT_MS = 3_000;
const IDLE_MS = 3_600_000;

/** Asked again and again, or without an end: no spans of a trace. */
const questions: ReadonlySet<string> = new Set([
  'GetHost',
  'ListGuests',
  'Watch',
  'GetMigration',
  'AwaitMigration',
  'ReadConsole',
  'FollowConsole',
  'WriteConsole',
  'Display',
]);

/** Clients by the address in the host's row; the host must prove by its certificate that it is that host. `onCall` is told of every call that is sent. */
export function createAgents(db: Db, own: OwnCertificate, onCall: (method: string) => void = () => {}): Agents & NetworkAgents {
  type Link = { readonly client: AgentClient; readonly network: NetworkClient; readonly sessions: Http2SessionManager };
  const links = new Map<HostId, Promise<Link>>();
  // One for all connections: each would keep the authorities and the key decoded for itself.
  let shared: { readonly of: ReturnType<OwnCertificate['current']>; readonly context: SecureContext } | null = null;
  const secureContext = (): SecureContext => {
    const of = own.current();
    if (shared?.of !== of) {
      const { certificate, authorities } = of;
      const context = createSecureContext({
        ca: authorities.bundlePem,
        cert: certificate.certificatePem,
        key: certificate.privateKeyPem,
        minVersion: 'TLSv1.3',
      });
      shared = { of, context };
    }
    return shared.context;
  };
  const counting: Interceptor = (next) => (request) => {
    onCall(request.method.name);
    const send: typeof next = (one) => {
      sendScope(one.header);
      return next(one);
    };
    return questions.has(request.method.name) ? send(request) : traced(`agent ${request.method.name}`, {}, () => send(request));
  };
  const connect = async (host: HostId): Promise<Link> => {
    const row = await db
      .selectFrom('host')
      .select(['address', 'rpc_port'])
      .where('id', '=', host)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (row === undefined) throw new GodwitError('HostNotFound', `Host ${host} could not be found.`);
    const baseUrl = `https://${row.address.includes(':') ? `[${row.address}]` : row.address}:${row.rpc_port}`;
    const sessions = new Http2SessionManager(
      baseUrl,
      {
        pingIntervalMs: PING_INTERVAL_MS,
        pingTimeoutMs: PING_TIMEOUT_MS, // Not idle ones: connect-node 2.2 then pings from a timer that outlives a connection broken with calls in flight, and throws uncaught.
        pingIdleConnection: false,
        idleConnectionTimeoutMs: IDLE_MS,
      },
      {
        secureContext: secureContext(),
        checkServerIdentity: (name: string, peer: PeerCertificate) => checkServerIdentity(name, peer) ?? strangerError(peer, host),
      },
    );
    const transport = createConnectTransport({
      baseUrl,
      httpVersion: '2',
      sessionManager: guardSessions(sessions),
      useBinaryFormat: true,
      interceptors: [counting],
    });
    return { sessions, client: createClient(Agent, transport), network: createClient(GuestNetwork, transport) };
  };
  const forget = (host: HostId): void => {
    const link = links.get(host);
    links.delete(host);
    link?.then(
      ({ sessions }) => sessions.abort(),
      () => {},
    );
  };
  // New calls use the new certificate; the agents trust both while authorities overlap.
  own.onRenewed(() => {
    for (const host of [...links.keys()]) forget(host);
  });
  const linkTo = (host: HostId): Promise<Link> => {
    let link = links.get(host);
    if (link === undefined) {
      link = connect(host);
      links.set(host, link);
      link.catch(() => links.delete(host));
    }
    return link;
  };
  return {
    client: async (host) => (await linkTo(host)).client,
    network: async (host) => (await linkTo(host)).network,
    forget,
    close: async () => {
      for (const host of [...links.keys()]) forget(host);
    },
  };
}

function strangerError(peer: PeerCertificate, host: HostId): Error | undefined {
  const role = certificateRole(peer.subjectaltname);
  return role?.role === 'host' && role.hostId === host
    ? undefined
    : new Error(`the agent at this address does not prove to be host ${host}`);
}
