import { Type } from 'typebox';
import { Closed, Nullable, perMinor, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Port interfaces". */
const Interface = (minor: number) =>
  Closed({
    port_id: Uuid,
    net_id: Uuid,
    mac_addr: Type.String(),
    port_state: Type.String(),
    fixed_ips: Type.Array(Closed({ subnet_id: Uuid, ip_address: Type.String() })),
    ...(minor >= 70 ? { tag: Nullable(Type.String()) } : {}),
  });
export const InterfaceAnswer = perMinor((minor) => Closed({ interfaceAttachment: Interface(minor) }));
export const InterfacesAnswer = perMinor((minor) => Closed({ interfaceAttachments: Type.Array(Interface(minor)) }));
export const AttachInterface = perMinor((minor) =>
  Closed({
    interfaceAttachment: Type.Optional(
      Closed({
        net_id: Type.Optional(Uuid),
        port_id: Type.Optional(Uuid),
        fixed_ips: Type.Optional(Type.Array(Closed({ ip_address: Type.String({ maxLength: 45 }) }), { minItems: 1, maxItems: 1 })),
        ...(minor >= 49 ? { tag: Type.Optional(Type.String({ minLength: 1, maxLength: 60, pattern: '^[^,/]*$' })) } : {}),
      }),
    ),
  }),
);
export type AttachInterface = {
  readonly interfaceAttachment?: {
    readonly net_id?: string;
    readonly port_id?: string;
    readonly fixed_ips?: readonly { readonly ip_address: string }[];
    readonly tag?: string;
  };
};
