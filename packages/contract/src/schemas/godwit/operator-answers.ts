import { Type } from 'typebox';
import { Closed, Nullable, OneOf, Uuid } from '../closed.ts';

/** What an operator is told of the whole cloud. Times are ISO 8601 UTC. */
const Time = Type.String();

/** `GET /` */
export const RootAnswer = Closed({
  name: OneOf('godwit'),
  version: OneOf('v1'),
  resources: Type.Array(Type.String()),
  settings: Closed({ resizeConfirmWindowSeconds: Type.Integer({ minimum: 0 }) }),
});

/** `GET /stuck` */
export const StuckAnswer = Closed({
  checkedAt: Time,
  problems: Type.Array(
    Closed({
      kind: Type.String(),
      subject: Closed({ type: OneOf('migration', 'server', 'host'), id: Type.String(), name: Type.String() }),
      sentence: Type.String(),
      evidence: Type.Array(Type.String()),
      since: Nullable(Time),
      action: Closed({
        sentence: Type.String(),
        request: Nullable(
          Closed({
            service: OneOf('godwit', 'compute'),
            method: OneOf('POST', 'DELETE'),
            path: Type.String(),
            body: Nullable(Type.Object({})),
          }),
        ),
      }),
    }),
  ),
});

/** `GET /doctor` */
export const DoctorAnswer = Closed({
  checkedAt: Time,
  findings: Type.Array(
    Closed({
      check: Type.String(),
      level: OneOf('ok', 'warning', 'problem'),
      subject: Type.String(),
      sentence: Type.String(),
      /** What to do; empty where it is well. */
      remedy: Type.String(),
    }),
  ),
});

const AuditEntry = Closed({
  id: Type.Integer(),
  at: Time,
  kind: OneOf('request', 'migration'),
  action: Type.String(),
  requestId: Nullable(Type.String()),
  user: Nullable(Closed({ id: Type.String(), name: Nullable(Type.String()) })),
  projectId: Nullable(Type.String()),
  address: Nullable(Type.String()),
  /** Of the answer. */
  status: Nullable(Type.Integer()),
  server: Nullable(Closed({ id: Uuid, name: Nullable(Type.String()) })),
  migrationId: Nullable(Uuid),
  source: Nullable(Type.String()),
  destination: Nullable(Type.String()),
  cause: Nullable(Type.String()),
  details: Nullable(Type.Object({})),
});
/** `GET /audit`, newest first */
export const AuditAnswer = Closed({ entries: Type.Array(AuditEntry) });

/** `GET /bundles/{id}`: secrets are removed. */
export const BundleAnswer = Closed({
  bundle: Closed({
    id: Type.String(),
    collectedAt: Time,
    version: Type.String(),
    requestIds: Type.Array(Type.String()),
    migrations: Type.Array(Type.Object({})),
    servers: Type.Array(Type.Object({})),
    actions: Type.Array(Type.Object({})),
    workflows: Type.Array(Type.Object({})),
    events: Type.Array(Type.Object({})),
    audit: Type.Array(AuditEntry),
    /** `cut`: there were more, older lines. */
    logs: Type.Array(
      Closed({ of: Type.String(), name: OneOf('controller', 'agent', 'qemu'), lines: Type.Array(Type.String()), cut: Type.Boolean() }),
    ),
    /** Hosts that did not answer. */
    missing: Type.Array(Closed({ host: Type.String(), reason: Type.String() })),
  }),
});
