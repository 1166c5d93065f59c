import { largestRamMib } from '@godwit/domain/guest-memory';
import { Type } from 'typebox';
import { Closed, Nullable, Uuid } from '../closed.ts';

/** How many vCPUs a server is to have, and how much memory: at least one of them. */
export const ScaleServer = Type.Object(
  {
    vcpus: Type.Optional(Type.Integer({ minimum: 1, maximum: 255 })),
    ramMib: Type.Optional(Type.Integer({ minimum: 1, maximum: largestRamMib })),
  },
  { additionalProperties: false, minProperties: 1 },
);

const Bounds = Closed({
  current: Type.Integer(),
  /** The least and the most that its flavor lets it have; equal: it cannot be scaled. */
  least: Type.Integer(),
  most: Type.Integer(),
});

export const ScaleAnswer = Closed({
  server: Closed({ id: Uuid, name: Type.String(), taskState: Nullable(Type.String()), vcpus: Bounds, ramMib: Bounds }),
});
export const AcceptedScale = Closed({
  server: Closed({ id: Uuid, vcpus: Type.Optional(Type.Integer()), ramMib: Type.Optional(Type.Integer()) }),
  /** Of the instance action whose event tells how it went. */
  requestId: Type.String(),
});
