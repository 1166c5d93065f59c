import { guestTimeOutcomes } from '@godwit/domain/guest-time';
import { memoryStreams } from '@godwit/domain/memory-stream';
import { migrationStatuses, migrationTypes } from '@godwit/domain/migration';
import { Type } from 'typebox';
import { Closed, Nullable, OneOf, Uuid } from '../closed.ts';

/** Answers about single moves. Times are ISO 8601 UTC, durations milliseconds, sizes bytes; null where it is not known (yet). */
const Host = Closed({ id: Uuid, name: Nullable(Type.String()) });
const Time = Type.String();
const Figure = Nullable(Type.Number());
const Bytes = Closed({ totalBytes: Figure, processedBytes: Figure, remainingBytes: Figure });
/** Fields and values of a policy: docs/live-migration.md; `from` says whose word each is. */
const Policy = Type.Object({});

const summary = {
  id: Uuid,
  /** The number that the compute API gives it. */
  apiId: Type.Integer(),
  serverId: Uuid,
  serverName: Type.String(),
  type: OneOf(...migrationTypes),
  status: OneOf(...migrationStatuses),
  phase: Type.String(),
  /** Of those that wait for their turn, from 1. */
  queuePosition: Nullable(Type.Integer()),
  source: Nullable(Host),
  destination: Nullable(Host),
  memory: Bytes,
  disk: Bytes,
  measures: Closed({
    /** Source STOP to destination RESUME. */
    blackoutMs: Figure,
    clockErrorMs: Figure,
    /** The destination's clock minus the source's. */
    hostClockOffsetMs: Type.Optional(Figure),
    qemuDowntimeMs: Figure,
    ownShareMs: Figure,
    qemuTotalMs: Figure,
    rounds: Figure,
    dirtyRateBytesPerSecond: Figure,
    throughputBytesPerSecond: Figure,
    linkBytesPerSecond: Type.Optional(Figure),
    memoryPerWireByte: Type.Optional(Figure),
    /** What the guest's agent told of its clock after the move, and what became of setting it. */
    guestTime: Type.Optional(
      Closed({
        outcome: OneOf(...guestTimeOutcomes),
        /** The guest's clock minus its host's. */
        driftBeforeMs: Figure,
        driftAfterMs: Figure,
        errorMs: Figure,
        detail: Type.String(),
      }),
    ),
  }),
  phaseDurationsMs: Nullable(Type.Object({})),
  outcome: Nullable(
    Closed({
      /** Null: it did what was asked. */
      cause: Nullable(Type.String()),
      sentence: Type.String(),
      runsOn: OneOf('source', 'destination', 'nowhere', 'unknown'),
      evidence: Type.Array(Type.String()),
    }),
  ),
  forceRequestedAt: Nullable(Time),
  abortRequestedAt: Nullable(Time),
  createdAt: Time,
  updatedAt: Nullable(Time),
  finishedAt: Nullable(Time),
};

/** `GET /migrations` */
export const MigrationsAnswer = Closed({ migrations: Type.Array(Closed(summary)) });

/** `GET /migrations/{id}` */
export const MigrationAnswer = Closed({
  migration: Closed({
    ...summary,
    userId: Type.String(),
    projectId: Type.String(),
    /** Of the API's answer that accepted it; logs of controllers and agents say it too. */
    requestId: Type.String(),
    requestedHost: Nullable(Type.String()),
    blockMigration: Type.Union([OneOf('auto', 'true', 'false'), Type.Null()]),
    policy: Nullable(Policy),
    maxBandwidthBytes: Figure,
    /** How memory is sent; `why` says why not as asked. Null until it is prepared. */
    memoryStream: Nullable(Closed({ asked: OneOf(...memoryStreams), used: OneOf(...memoryStreams), why: Type.String() })),
    /** Destinations that were tried before. */
    attempts: Type.Array(Type.Object({})),
    prediction: Nullable(Type.Object({})),
    predictionScore: Nullable(Type.Object({})),
    previousVmState: Nullable(Type.String()),
    epochFrom: Nullable(Type.Integer()),
    epochTo: Nullable(Type.Integer()),
    endState: Nullable(Type.String()),
    timeline: Type.Array(
      Closed({
        at: Type.Number(),
        clock: OneOf('controller', 'source', 'destination'),
        what: Type.String(),
        detail: Type.Optional(Type.String()),
      }),
    ),
    /** What every host was found to be. */
    verdicts: Nullable(Type.Unknown()),
    waysOut: Type.Array(Type.Object({ kind: OneOf('wait', 'fence'), host: Type.String(), sentence: Type.String() })),
    overdue: Nullable(Closed({ phase: Type.String(), ageMs: Type.Number(), usualMs: Figure, limitMs: Type.Number() })),
  }),
});

/** `GET /migrations/{id}/samples` */
export const SamplesAnswer = Closed({
  samples: Type.Array(
    Closed({ at: Time, remainingBytes: Type.Number(), dirtyBytesPerSecond: Type.Number(), sentBytesPerSecond: Type.Number() }),
  ),
});

/** `POST /migrations/{id}/abort`, `/force-complete` and `POST /servers/{id}/live-migrations` (202) */
export const AcceptedMigration = Closed({ migration: Closed({ id: Uuid }) });

/** `PATCH /migrations/{id}` */
export const ChangedMigration = Closed({ migration: Type.Object({ id: Uuid }) });

/** `GET /migration-policies` */
export const PoliciesAnswer = Closed({
  policies: Type.Array(Type.Object({ scope: Type.String(), policy: Policy })),
  effectiveDefault: Policy,
  fields: Type.Array(Closed({ name: Type.String(), extraSpec: Type.String(), default: Type.Unknown(), allowed: Type.String() })),
});

/** `PUT /migration-policies/{scope}` */
export const PolicyAnswer = Closed({ scope: Type.String(), policy: Policy });

const Interval = Nullable(Type.Object({ lower: Type.Number(), upper: Type.Number() }));
/** `GET /servers/{id}/prediction` */
export const PredictionAnswer = Closed({
  server: Closed({ id: Uuid, name: Type.String() }),
  destination: Nullable(Host),
  policy: Policy,
  prediction: Closed({
    verdict: OneOf('converges', 'will-not-converge', 'unknown'),
    why: Type.String(),
    durationMs: Interval,
    blackoutMs: Interval,
    moveClass: Type.String(),
    inputs: Type.Object({}),
  }),
});

const Coverage = Closed({ scored: Type.Integer(), coverage: Figure, medianWidth: Figure });
/** `GET /predictions/score` */
export const ScoreAnswer = Closed({
  promised: Closed({ coverage: Type.Number() }),
  score: Closed({
    moves: Type.Integer(),
    duration: Coverage,
    blackout: Coverage,
    willNotConverge: Closed({ told: Type.Integer(), happened: Type.Integer(), right: Type.Integer(), precision: Figure, recall: Figure }),
  }),
});

/** `GET /servers/{id}/destinations` */
export const DestinationsAnswer = Closed({
  server: Type.Object({ id: Uuid, name: Type.String() }),
  type: OneOf('live', 'cold'),
  block: OneOf('auto', 'true', 'false'),
  /** Why it cannot be moved so at all. */
  refusal: Nullable(Closed({ code: Type.String(), message: Type.String() })),
  /** Whom the scheduler would take now. */
  chosen: Nullable(Host),
  summary: Nullable(Type.String()),
  hosts: Type.Array(
    Type.Object({
      id: Uuid,
      name: Type.String(),
      zone: Type.String(),
      hypervisorType: OneOf('QEMU', 'ironic'),
      verdict: OneOf('passes', 'rejected'),
      reasons: Type.Array(Type.Object({})),
      rank: Nullable(Type.Integer()),
      tiedWithBest: Type.Boolean(),
    }),
  ),
});

/** `GET /servers/{id}/disks` */
export const DisksAnswer = Closed({
  disks: Type.Array(
    Closed({
      id: Uuid,
      deviceIndex: Type.Integer(),
      storage: OneOf('shared', 'local'),
      pool: Type.String(),
      format: OneOf('qcow2', 'raw'),
      sizeBytes: Type.Number(),
      imageId: Nullable(Type.String()),
    }),
  ),
});
