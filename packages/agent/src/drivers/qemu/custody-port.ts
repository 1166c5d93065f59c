import type { openCustody } from '../../custody/open-custody.ts';

/** Custody as the driver uses it: the only code that lets vCPUs run, starts or cancels a stream, or ends a QEMU. */
export type CustodyPort = ReturnType<typeof openCustody>;
