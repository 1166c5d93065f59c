import { Type } from 'typebox';
import { Closed, Links, Nullable, OneOf, TimeZ, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Images", "Networks", "Floating IPs", "Security groups": proxies of other services, which end at 2.35 (an image's metadata at 2.38). */
const Metadata = Type.Record(Type.String(), Type.String());
const ImageSummary = { id: Uuid, name: Nullable(Type.String()), links: Links };
const ImageDetail = Closed({
  ...ImageSummary,
  created: TimeZ,
  updated: TimeZ,
  status: OneOf('ACTIVE', 'SAVING', 'DELETED', 'ERROR', 'UNKNOWN'),
  progress: Type.Integer({ minimum: 0, maximum: 100 }),
  minDisk: Type.Integer(),
  minRam: Type.Integer(),
  metadata: Metadata,
  'OS-EXT-IMG-SIZE:size': Type.Integer(),
  server: Type.Optional(Closed({ id: Type.String(), links: Links })),
});
export const OldImagesAnswer = Closed({ images: Type.Array(Closed(ImageSummary)), images_links: Type.Optional(Links) });
export const OldImagesDetailAnswer = Closed({ images: Type.Array(ImageDetail), images_links: Type.Optional(Links) });
export const OldImageAnswer = Closed({ image: ImageDetail });

const key = '^[a-zA-Z0-9_:. -]{1,255}$';
const Value = Type.String({ maxLength: 255 });
export const OldImageMetadata = Closed({ metadata: Type.Record(Type.String({ pattern: key }), Value, { additionalProperties: false }) });
export type OldImageMetadata = { readonly metadata: Readonly<Record<string, string>> };
export const OldImageMetadataItem = Closed({
  meta: Type.Record(Type.String({ pattern: key }), Value, { additionalProperties: false, minProperties: 1, maxProperties: 1 }),
});
export type OldImageMetadataItem = { readonly meta: Readonly<Record<string, string>> };
export const OldImageMetadataAnswer = Closed({ metadata: Metadata });
export const OldImageMetadataItemAnswer = Closed({ meta: Metadata });

const networkFields = ['cidr', 'netmask', 'gateway', 'broadcast', 'dns1', 'dns2', 'cidr_v6', 'gateway_v6', 'netmask_v6'];
export const unknownNetworkFields: readonly string[] = networkFields;
const OldNetwork = Closed({
  id: Uuid,
  label: Type.String(),
  ...Object.fromEntries(networkFields.map((name) => [name, Type.Null()])),
});
export const OldNetworksAnswer = Closed({ networks: Type.Array(OldNetwork) });
export const OldNetworkAnswer = Closed({ network: OldNetwork });
const TenantNetwork = Closed({ id: Uuid, label: Type.String(), cidr: Type.String() });
export const TenantNetworksAnswer = Closed({ networks: Type.Array(TenantNetwork) });
export const TenantNetworkAnswer = Closed({ network: TenantNetwork });
/** Whatever it says: there is nothing of it here. */
export const AnyObject = Type.Object({});
export const FloatingIpsAnswer = Closed({ floating_ips: Type.Array(Type.Object({}), { maxItems: 0 }) });
export const FloatingIpPoolsAnswer = Closed({ floating_ip_pools: Type.Array(Type.Object({}), { maxItems: 0 }) });
