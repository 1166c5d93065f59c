import { Type } from 'typebox';
import { Closed } from '../closed.ts';

/** What the network API counts for a project (API reference of the network service, "Quotas extension"). */
export const networkQuotaNames = [
  'network',
  'subnet',
  'port',
  'security_group',
  'security_group_rule',
  'router',
  'floatingip',
  'subnetpool',
  'rbac_policy',
] as const;

const detail = Closed({ limit: Type.Integer({ minimum: -1 }), used: Type.Integer({ minimum: 0 }), reserved: Type.Integer({ minimum: 0 }) });

export const QuotaBody = Closed({
  quota: Closed(Object.fromEntries(networkQuotaNames.map((name) => [name, Type.Integer({ minimum: -1 })]))),
});
export const QuotaDetailsBody = Closed({ quota: Closed(Object.fromEntries(networkQuotaNames.map((name) => [name, detail]))) });
/** Of projects with limits of their own: there are none. */
export const QuotaList = Closed({ quotas: Type.Array(Type.Unknown(), { maxItems: 0 }) });
