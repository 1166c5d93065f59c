import {
  hostSteps,
  itemStates,
  moveMethods,
  operationCommands,
  operationKinds,
  operationStates,
} from '@godwit/domain/drain-plan/fleet-operation';
import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf, Uuid } from '../closed.ts';

/** Answers of fleet operations, all for admins. Times are ISO 8601 UTC, durations milliseconds, sizes bytes. */
const Host = Closed({ id: Uuid, name: Type.String() });
const Server = Closed({ id: Uuid, name: Type.String(), projectId: Type.String(), status: Type.String() });
const Count = Type.Integer({ minimum: 0 });
const Ms = Type.Integer({ minimum: 0 });
const Time = Type.String();

/** Why a server cannot be moved, and the smallest change that would let it. */
const Exclusion = Closed({
  server: Server,
  source: Nullable(Host),
  /** Of domain/errors or of a filter's rejection. */
  code: Type.String(),
  reason: Type.String(),
  remedy: Nullable(Type.String()),
  /** The group whose hard rule stands in the way: take the server out, move it, add it again. */
  override: Nullable(Closed({ serverGroup: Closed({ id: Uuid, name: Type.String(), policy: Type.String() }) })),
  /** Per host why it does not take the server; empty where the server itself is the reason. */
  hosts: Type.Array(Closed({ name: Type.String(), sentence: Type.String(), smallestChange: Nullable(Type.String()) })),
});

const PlanItem = Closed({
  position: Count,
  /** Items of one wave may move at the same time. Counts from 1. */
  wave: Count,
  server: Server,
  source: Host,
  destination: Host,
  method: OneOf(...moveMethods),
  pinned: Type.Boolean(),
  /** Was not named; moves because it makes room for one that was. */
  makesRoom: Type.Boolean(),
  why: Type.Array(Type.String()),
  bytes: Count,
  expected: Closed({ startMs: Ms, endMs: Ms }),
});

export const Plan = Closed({
  kind: OneOf('bulk', 'drain', 'evacuate'),
  /** Every server that was named has a place. */
  complete: Type.Boolean(),
  items: Type.Array(PlanItem),
  excluded: Type.Array(Exclusion),
  expected: Closed({
    durationMs: Ms,
    waves: Count,
    bytes: Count,
    /** What the duration was computed from: bytes per second of each host's link, measured by earlier moves or assumed. */
    linkBytesPerSecond: Count,
    measured: Type.Boolean(),
  }),
  /**
   * `found`: every movable server has a place. `impossible`: no order and no choice of destinations places all of them, proven. `limit`: none was found within the
   * search's bound; that proves nothing.
   */
  search: Closed({ outcome: OneOf('found', 'impossible', 'limit'), states: Count, sentence: Type.String() }),
});
export type Plan = Static<typeof Plan>;
/** `POST /plans` */
export const PlanAnswer = Closed({ plan: Plan });

const Counts = Closed(Object.fromEntries(itemStates.map((state) => [state, Count])) as Record<(typeof itemStates)[number], typeof Count>);

const OperationItem = Closed({
  position: Count,
  server: Server,
  /** Of a rolling or restore: whether it leaves its host or comes home. */
  direction: OneOf('away', 'home'),
  source: Nullable(Host),
  planned: Nullable(Host),
  /** Where it went, or is going; null before its turn. */
  destination: Nullable(Host),
  method: OneOf(...moveMethods),
  pinned: Type.Boolean(),
  makesRoom: Type.Boolean(),
  state: OneOf(...itemStates),
  attempt: Count,
  /** `GET /migrations/{id}` has the whole record. */
  migrationId: Nullable(Uuid),
  /** "planned node2, went to node3, because …", "going to" until it is there; null when nothing differs. */
  note: Nullable(Type.String()),
  /** Of an item that failed, was excluded, skipped or cancelled. */
  cause: Nullable(Closed({ code: Type.String(), sentence: Type.String(), remedy: Nullable(Type.String()) })),
  startedAt: Nullable(Time),
  finishedAt: Nullable(Time),
});

const OperationHost = Closed({
  host: Host,
  step: OneOf(...hostSteps),
  /** What was looked at when the host was found empty, or not; null before. */
  proof: Nullable(
    Closed({
      at: Time,
      servers: Count,
      claims: Count,
      /** Guests that the host's agent itself reports; null: it did not answer. */
      guests: Nullable(Count),
      sentence: Type.String(),
    }),
  ),
});

const summary = {
  id: Uuid,
  kind: OneOf(...operationKinds),
  state: OneOf(...operationStates),
  reason: Nullable(Type.String()),
  parallel: Count,
  atMost: Count,
  destination: Nullable(Type.String()),
  blockMigration: Type.Union([Type.Boolean(), OneOf('auto')]),
  hosts: Type.Array(OperationHost),
  counts: Counts,
  /** What may be asked of it now. */
  commands: Type.Array(OneOf(...operationCommands)),
  /** Expected when it began. */
  expectedMs: Nullable(Ms),
  /** What came of it, or what it waits for, in one sentence. */
  sentence: Type.String(),
  userId: Type.String(),
  requestId: Type.String(),
  createdAt: Time,
  updatedAt: Time,
  finishedAt: Nullable(Time),
};
const OperationSummary = Closed(summary);
export type OperationSummary = Static<typeof OperationSummary>;
export type OperationItem = Static<typeof OperationItem>;

/** `GET /operations` */
export const OperationsAnswer = Closed({ operations: Type.Array(OperationSummary) });
/** `GET /operations/{id}`; `POST /operations` (202) and its commands (202) answer the same. */
export const OperationAnswer = Closed({ operation: Closed({ ...summary, items: Type.Array(OperationItem) }) });
export type OperationAnswer = Static<typeof OperationAnswer>;

/** Data of the stream's event `operation`: the operation as it stands, and the item that changed, if one did. Admins only. */
export const OperationEvent = Closed({ operation: OperationSummary, item: Nullable(OperationItem) });

const Load = Closed({ host: Host, before: Type.Number(), after: Type.Number() });
const Advice = Closed({
  sentence: Type.String(),
  moves: Type.Array(
    Closed({
      server: Server,
      source: Host,
      destination: Host,
      why: Type.String(),
      /** Shares of the fullest resource, in per cent, before and after this move. */
      relief: Closed({ sourceBefore: Type.Number(), sourceAfter: Type.Number(), destinationAfter: Type.Number() }),
      cost: Closed({ bytes: Count, linkMs: Ms, blackoutMs: Ms }),
    }),
  ),
  hosts: Type.Array(Load),
});
export type BalanceAdvice = Static<typeof Advice>;
/** `GET /balance`: advice; `POST /operations` with `kind: bulk` and these moves as `items` carries it out. */
export const BalanceAnswer = Closed({ advice: Advice });
