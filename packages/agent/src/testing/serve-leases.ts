import { as } from '@godwit/domain/ids';
import type { AddressLease } from '@godwit/domain/network-policy';
import { DhcpService } from '../dhcp/dhcp-service.ts';
import { networkTools } from '../network/network-tools.ts';

/** A host that answers by DHCP at one tap, in the namespace that it is started in: `serve-leases.ts <tap> <mac> <lease as JSON>`. Says `serving`, and ends with its input. */
const [tapName = '', mac = '', json = ''] = process.argv.slice(2);
const lease = JSON.parse(json) as AddressLease;
const service = await DhcpService.open(networkTools(), () => lease);
await service.serve([{ portId: as('a'), tapName, mac }]);
await service.serve([{ portId: as('a'), tapName, mac }]);
process.stdout.write('serving\n');
process.stdin.resume().on('end', () => process.exit(0));
