import { type Static, Type } from 'typebox';
import { Closed, Nullable, OneOf, perMinor, TimeMicros, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Compute services (os-services)" and "Availability zones". Ids are integers below 2.53, UUIDs from there on. */
export const NumberedId = (minor: number) => (minor >= 53 ? Uuid : Type.Integer({ minimum: 1 }));

const status = OneOf('enabled', 'disabled');
const Service = (minor: number) =>
  Closed({
    id: NumberedId(minor),
    binary: Type.String(),
    host: Type.String(),
    zone: Type.String(),
    status,
    state: OneOf('up', 'down'),
    updated_at: Nullable(TimeMicros),
    disabled_reason: Nullable(Type.String()),
    ...(minor >= 11 ? { forced_down: Type.Boolean() } : {}),
  });
export const ServiceListAnswer = perMinor((minor) => Closed({ services: Type.Array(Service(minor)) }));
export const ServiceAnswer = perMinor((minor) => Closed({ service: Service(minor) }));
export type Service = {
  readonly id: number | string;
  readonly binary: string;
  readonly host: string;
  readonly zone: string;
  readonly status: 'enabled' | 'disabled';
  readonly state: 'up' | 'down';
  readonly updated_at: string | null;
  readonly disabled_reason: string | null;
  readonly forced_down?: boolean;
};

/** Below 2.53: what is changed is named by host and binary. */
const named = {
  host: Type.String({ minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' }),
  binary: Type.String({ minLength: 1, maxLength: 255 }),
};
const reason = Type.String({ minLength: 1, maxLength: 255, pattern: '^(?! *$)[^\\u0000-\\u001f]*$' });
export const EnableService = Closed(named);
export const DisableServiceWithReason = Closed({ ...named, disabled_reason: reason });
export const ForceServiceDown = Closed({
  ...named,
  forced_down: Type.Union([Type.Boolean(), OneOf('True', 'true', 'False', 'false', '1', '0')]),
});
export type NamedService = Static<typeof EnableService> & { readonly disabled_reason?: string; readonly forced_down?: boolean | string };
export const NamedServiceAnswer = Closed({
  service: Closed({
    host: Type.String(),
    binary: Type.String(),
    status: Type.Optional(status),
    disabled_reason: Type.Optional(Type.String()),
    forced_down: Type.Optional(Type.Boolean()),
  }),
});

export const UpdateService = Closed({
  status: Type.Optional(status),
  disabled_reason: Type.Optional(reason),
  forced_down: Type.Optional(Type.Union([Type.Boolean(), OneOf('True', 'true', 'False', 'false', '1', '0')])),
});
export type UpdateService = Static<typeof UpdateService>;

const ZoneState = Closed({ available: Type.Boolean() });
export const ZoneListAnswer = Closed({
  availabilityZoneInfo: Type.Array(Closed({ zoneName: Type.String(), zoneState: ZoneState, hosts: Type.Null() })),
});
const ServiceState = Closed({ available: Type.Boolean(), active: Type.Boolean(), updated_at: Nullable(TimeMicros) });
export const ZoneDetailAnswer = Closed({
  availabilityZoneInfo: Type.Array(
    Closed({
      zoneName: Type.String(),
      zoneState: ZoneState,
      hosts: Nullable(Type.Record(Type.String(), Type.Record(Type.String(), ServiceState))),
    }),
  ),
});

/** "Hosts (os-hosts)", gone from 2.43 on. */
export const HostListAnswer = Closed({
  hosts: Type.Array(Closed({ host_name: Type.String(), service: Type.String(), zone: Type.String() })),
});
export const HostShowAnswer = Closed({
  host: Type.Array(
    Closed({
      resource: Closed({
        host: Type.String(),
        project: Type.String(),
        cpu: Type.Integer(),
        memory_mb: Type.Integer(),
        disk_gb: Type.Integer(),
      }),
    }),
  ),
});
export const UpdateHost = Closed({
  status: Type.Optional(OneOf('enable', 'disable', 'Enable', 'Disable', 'ENABLE', 'DISABLE')),
  maintenance_mode: Type.Optional(OneOf('enable', 'disable', 'Enable', 'Disable', 'ENABLE', 'DISABLE')),
});
export type UpdateHost = Static<typeof UpdateHost>;
export const UpdateHostAnswer = Closed({ host: Type.String(), status });
