/** Where each API begins below the public URL. */
export const servicePrefixes = {
  identity: '/identity',
  compute: '/compute',
  image: '/image',
  network: '/network',
  placement: '/placement',
  godwit: '/godwit/v1',
} as const;
