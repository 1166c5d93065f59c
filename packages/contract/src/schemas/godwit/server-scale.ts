import { Type } from 'typebox';
import { Closed, Nullable, Uuid } from '../closed.ts';

/** How many vCPUs a server is to have. */
export const ScaleServer = Closed({ vcpus: Type.Integer({ minimum: 1, maximum: 255 }) });

const Vcpus = Closed({
  current: Type.Integer(),
  /** The fewest and the most that its flavor lets it have; equal: it cannot be scaled. */
  least: Type.Integer(),
  most: Type.Integer(),
});

export const ScaleAnswer = Closed({ server: Closed({ id: Uuid, name: Type.String(), taskState: Nullable(Type.String()), vcpus: Vcpus }) });
export const AcceptedScale = Closed({
  server: Closed({ id: Uuid, vcpus: Type.Integer() }),
  /** Of the instance action whose event tells how it went. */
  requestId: Type.String(),
});
