/** Where each API begins below the public URL. */
export const servicePrefixes = {
  identity: '/identity',
  compute: '/compute',
  image: '/image',
  network: '/network',
  placement: '/placement',
  godwit: '/godwit/v1',
} as const;

/** The prefix that a request's path begins with; `/` for what belongs to no API. */
export const servicePrefixOf = (url: string): string =>
  Object.values(servicePrefixes).find((prefix) => url === prefix || url.startsWith(`${prefix}/`) || url.startsWith(`${prefix}?`)) ?? '/';
