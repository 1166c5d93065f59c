import { Type } from 'typebox';
import { Closed, Links, Nullable, perMinor, perMinorAndRole, TimeMicros, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Servers actions" (`os-instance-actions`). */
const Text = Nullable(Type.String());
const base = (minor: number) => ({
  action: Type.String(),
  instance_uuid: Uuid,
  request_id: Type.String(),
  user_id: Text,
  project_id: Text,
  start_time: TimeMicros,
  message: Text,
  ...(minor >= 58 ? { updated_at: Nullable(TimeMicros) } : {}),
});

const Event = (minor: number, isAdmin: boolean) =>
  Closed({
    event: Type.String(),
    start_time: TimeMicros,
    finish_time: Nullable(TimeMicros),
    result: Text,
    ...(isAdmin ? { traceback: Text } : {}),
    ...(minor >= 62 ? { hostId: Type.String() } : {}),
    ...(minor >= 62 && isAdmin ? { host: Text } : {}),
    ...(minor >= 84 && isAdmin ? { details: Text } : {}),
  });

export const InstanceActionsAnswer = perMinor((minor) =>
  Closed({ instanceActions: Type.Array(Closed(base(minor))), ...(minor >= 58 ? { links: Type.Optional(Links) } : {}) }),
);
/** Below 2.51 only an admin sees the events. */
export const InstanceActionAnswer = perMinorAndRole((minor, isAdmin) =>
  Closed({
    instanceAction: Closed({ ...base(minor), ...(isAdmin || minor >= 51 ? { events: Type.Array(Event(minor, isAdmin)) } : {}) }),
  }),
);
