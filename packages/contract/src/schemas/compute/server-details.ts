import { Type } from 'typebox';
import { Closed, Nullable, OneOf, perMinor, perMinorAndRole, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1: "Server diagnostics", "Server topology", "Server password", "Port interfaces", "Servers with volume attachments". */
const MaybeInteger = Nullable(Type.Integer({ minimum: 0 }));

/** Below 2.48 what the hypervisor happens to say. */
export const DiagnosticsAnswer = perMinor((minor) =>
  minor < 48
    ? Type.Record(Type.String(), Type.Integer())
    : Closed({
        state: OneOf('pending', 'running', 'paused', 'shutdown', 'crashed', 'suspended'),
        driver: OneOf('libvirt', 'xenapi', 'vmwareapi', 'ironic', 'hyperv'),
        hypervisor: Nullable(Type.String()),
        hypervisor_os: Nullable(Type.String()),
        uptime: MaybeInteger,
        config_drive: Type.Boolean(),
        num_cpus: Type.Integer(),
        num_nics: Type.Integer(),
        num_disks: Type.Integer(),
        cpu_details: Type.Array(Closed({ id: MaybeInteger, time: MaybeInteger, utilisation: MaybeInteger })),
        nic_details: Type.Array(
          Closed({
            mac_address: Type.String(),
            rx_octets: MaybeInteger,
            rx_errors: MaybeInteger,
            rx_drop: MaybeInteger,
            rx_packets: MaybeInteger,
            rx_rate: MaybeInteger,
            tx_octets: MaybeInteger,
            tx_errors: MaybeInteger,
            tx_drop: MaybeInteger,
            tx_packets: MaybeInteger,
            tx_rate: MaybeInteger,
          }),
        ),
        disk_details: Type.Array(
          Closed({
            read_bytes: MaybeInteger,
            read_requests: MaybeInteger,
            write_bytes: MaybeInteger,
            write_requests: MaybeInteger,
            errors_count: MaybeInteger,
          }),
        ),
        memory_details: Closed({ maximum: MaybeInteger, used: MaybeInteger }),
      }),
);

/** An admin would also see host nodes and pinning, of guests that have any. */
export const TopologyAnswer = perMinorAndRole(() =>
  Closed({ nodes: Type.Array(Type.Object({}), { maxItems: 0 }), pagesize_kb: Type.Null() }),
);

export const PasswordAnswer = Closed({ password: Type.String() });

export const AttachVolume = perMinor((minor) =>
  Closed({
    volumeAttachment: Closed({
      volumeId: Uuid,
      device: Type.Optional(
        Nullable(Type.String({ minLength: 1, maxLength: 255, pattern: '(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$' })),
      ),
      ...(minor >= 49 ? { tag: Type.Optional(Type.String({ minLength: 1, maxLength: 60, pattern: '^[^,/]*$' })) } : {}),
      ...(minor >= 79 ? { delete_on_termination: Type.Optional(Type.Boolean()) } : {}),
    }),
  }),
);
export type AttachVolume = { readonly volumeAttachment: { readonly volumeId: string } };
/** Open: whatever an update would say, there is no such attachment. */
export const UpdateVolumeAttachment = Closed({ volumeAttachment: Type.Object({ volumeId: Uuid }) });

export const AssistedSnapshot = Closed({
  snapshot: Closed({
    volume_id: Type.String({ minLength: 1, maxLength: 255 }),
    create_info: Type.Object({
      snapshot_id: Type.String({ minLength: 1, maxLength: 255 }),
      type: OneOf('qcow2'),
      new_file: Type.String({ minLength: 1, maxLength: 255 }),
      id: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    }),
  }),
});
export type AssistedSnapshot = { readonly snapshot: { readonly volume_id: string } };

const eventNames = (minor: number): readonly string[] => [
  'network-changed',
  'network-vif-plugged',
  'network-vif-unplugged',
  'network-vif-deleted',
  ...(minor >= 51 ? ['volume-extended'] : []),
  ...(minor >= 76 ? ['power-update'] : []),
  ...(minor >= 82 ? ['accelerator-request-bound'] : []),
  ...(minor >= 93 ? ['volume-reimaged'] : []),
];
const EventStatus = OneOf('failed', 'completed', 'in-progress');
export const ExternalEvents = perMinor((minor) =>
  Closed({
    events: Type.Array(
      Closed({
        server_uuid: Uuid,
        name: OneOf(...eventNames(minor)),
        status: Type.Optional(EventStatus),
        tag: Type.Optional(Type.String({ maxLength: 255 })),
      }),
      { minItems: 1 },
    ),
  }),
);
export type ExternalEvents = {
  readonly events: readonly { readonly server_uuid: string; readonly name: string; readonly status?: string; readonly tag?: string }[];
};
export const ExternalEventsAnswer = perMinor((minor) =>
  Closed({
    events: Type.Array(
      Closed({
        server_uuid: Uuid,
        name: OneOf(...eventNames(minor)),
        status: EventStatus,
        tag: Type.Optional(Type.String()),
        code: Type.Integer(),
      }),
    ),
  }),
);
