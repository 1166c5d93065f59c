import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf, Uuid } from '../closed.ts';

/** Requests for fleet operations: plans, bulk moves, drains, maintenance, evacuation. */
const Name = Type.String({ minLength: 1, maxLength: 255 });
/** Servers in one request at most. */
const MOST = 20_000;
const Servers = Type.Array(Uuid, { minItems: 1, maxItems: MOST, uniqueItems: true });
const Hosts = Type.Array(Name, { minItems: 1, maxItems: 1_000, uniqueItems: true });

/** Which servers: exactly one of these. */
export const Selection = Type.Union([
  Closed({ host: Name }),
  Closed({ hosts: Hosts }),
  Closed({ servers: Servers }),
  Closed({ serverGroup: Uuid }),
  Closed({ project: Name }),
]);
export type Selection = Static<typeof Selection>;

const how = {
  /** As in the compute API: `auto` copies local disks and leaves shared ones. Default `auto`. */
  blockMigration: Type.Optional(Type.Union([Type.Boolean(), OneOf('auto')])),
  /** Moves at the same time at most, within the limits of the links. Default 1; 10 for an evacuation, which copies nothing. */
  parallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  /** Servers that were not named may be moved too, where that makes room. Default false. */
  moveOthers: Type.Optional(Type.Boolean()),
};
const Reason = Type.String({ minLength: 1, maxLength: 255 });
/** Name of the one destination; null or absent: the scheduler picks for each. */
const Destination = Type.Optional(Nullable(Name));

/** `POST /plans`: nothing moves. `kind` says by whose rules: `bulk` moves Active and Paused servers, `drain` everything on the hosts, `evacuate` what a dead host had. Default `bulk`. */
export const PlanRequest = Closed({
  kind: Type.Optional(OneOf('bulk', 'drain', 'evacuate')),
  select: Selection,
  destination: Destination,
  /** Rows whose destination the operator has fixed; all others are planned around them. */
  pins: Type.Optional(Type.Array(Closed({ server: Uuid, host: Name }), { maxItems: MOST })),
  ...how,
});
export type PlanRequest = Static<typeof PlanRequest>;

/** An item of a plan, edited or not, as the run is to take it. `pinned`: this host, or the item fails. */
export const RequestedItem = Closed({ server: Uuid, destination: Destination, pinned: Type.Optional(Type.Boolean()) });
export type RequestedItem = Static<typeof RequestedItem>;

const bulk = { kind: Type.Literal('bulk'), destination: Destination, ...how };
const drain = { hosts: Hosts, reason: Reason, ...how, atMost: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })) };

/** `POST /operations`. */
export const NewOperation = Type.Union([
  /** Plans for itself. */
  Closed({ ...bulk, select: Selection }),
  /** A plan that the operator has seen: its items in its order. */
  Closed({ ...bulk, items: Type.Array(RequestedItem, { minItems: 1, maxItems: MOST }) }),
  /** `atMost`: hosts at the same time; default 1. */
  Closed({ kind: Type.Literal('drain'), ...drain }),
  Closed({ kind: Type.Literal('maintenance'), ...drain }),
  Closed({
    kind: Type.Literal('rolling'),
    ...drain,
    /** When a host counts as done: the operator says so (`POST /operations/{id}/hosts/{name}/done`), or it has booted again. Default `operator`. */
    until: Type.Optional(OneOf('operator', 'reboot')),
    bringHome: Type.Optional(Type.Boolean()),
  }),
  /** `bringHome` default true. */
  Closed({
    kind: Type.Literal('restore'),
    host: Name,
    bringHome: Type.Optional(Type.Boolean()),
    parallel: how.parallel,
    blockMigration: how.blockMigration,
  }),
  /**
   * Refused unless the host is fenced, or `confirmedDead` is the operator's own word that nothing on it runs or reaches any disk. A false word runs two copies.
   */
  Closed({
    kind: Type.Literal('evacuate'),
    host: Name,
    confirmedDead: Type.Optional(Type.Boolean()),
    servers: Type.Optional(Servers),
    destination: Destination,
    parallel: how.parallel,
  }),
]);
export type NewOperation = Static<typeof NewOperation>;

/** `POST /operations/{id}/pause|resume|abort|retry` and `…/hosts/{name}/done` take nothing but their path. */
export const OperationCommandBody = Closed({});
