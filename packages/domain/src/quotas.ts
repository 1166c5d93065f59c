/**
 * What a project may have at most. Names and the meaning of -1 (no limit) are the OpenStack compute API's ("Quota sets"). What is not enforced here (addresses and security groups belong to the
 * network service, injected files are not offered) is shown with the limit that holds: none, or 0.
 */
export const quotaNames = [
  'instances',
  'cores',
  'ram',
  'metadata_items',
  'key_pairs',
  'server_groups',
  'server_group_members',
  'fixed_ips',
  'floating_ips',
  'security_groups',
  'security_group_rules',
  'injected_files',
  'injected_file_content_bytes',
  'injected_file_path_bytes',
] as const;
export type QuotaName = (typeof quotaNames)[number];
export type Quotas = Readonly<Record<QuotaName, number>>;

export const isQuotaName = (name: string): name is QuotaName => (quotaNames as readonly string[]).includes(name);

/** What holds where nobody has said anything else. RAM in MiB. The API's usual small defaults (10 servers) would stop a cloud that was only just installed; an operator sets them as the class `default`. */
export const defaultQuotas: Quotas = {
  instances: -1,
  cores: -1,
  ram: -1,
  metadata_items: 128,
  key_pairs: 100,
  server_groups: -1,
  server_group_members: -1,
  fixed_ips: -1,
  floating_ips: -1,
  security_groups: -1,
  security_group_rules: -1,
  injected_files: 0,
  injected_file_content_bytes: 0,
  injected_file_path_bytes: 0,
};

/** What a server counts for: each once it is accepted, until it is deleted. */
export const serverQuotas = ['instances', 'cores', 'ram'] as const;
export type ServerCharge = Readonly<Record<(typeof serverQuotas)[number], number>>;

/** The resources of which `wanted` more would be more than allowed; nothing asked for is never too much. */
export const exceeded = (
  limits: Pick<Quotas, keyof ServerCharge>,
  used: ServerCharge,
  wanted: ServerCharge,
): readonly (keyof ServerCharge)[] =>
  serverQuotas.filter((name) => wanted[name] > 0 && limits[name] >= 0 && used[name] + wanted[name] > limits[name]);

/** How many equal servers still fit, at most `count`. */
export function countThatFits(
  limits: Pick<Quotas, keyof ServerCharge>,
  used: ServerCharge,
  each: Omit<ServerCharge, 'instances'>,
  count: number,
): number {
  const one: ServerCharge = { instances: 1, ...each };
  const room = serverQuotas.map((name) =>
    limits[name] < 0 || one[name] <= 0 ? count : Math.max(0, Math.floor((limits[name] - used[name]) / one[name])),
  );
  return Math.min(count, ...room);
}

/** The API's sentence for a refused server. */
export function overQuotaSentence(
  over: readonly (keyof ServerCharge)[],
  limits: Pick<Quotas, keyof ServerCharge>,
  used: ServerCharge,
  wanted: ServerCharge,
): string {
  const list = (values: ServerCharge | Pick<Quotas, keyof ServerCharge>): string => over.map((name) => values[name]).join(', ');
  const names = over.join(', ');
  return `Quota exceeded for ${names}: Requested ${list(wanted)}, but already used ${list(used)} of ${list(limits)} ${names}`;
}
