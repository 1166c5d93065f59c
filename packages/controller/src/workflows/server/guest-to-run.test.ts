import { create } from '@bufbuild/protobuf';
import { type Guest, GuestSchema } from '@godwit/contract/gen/guest_pb';
import { asReleased } from '@godwit/contract/testing/released-protocol';
import { expect, test } from 'vitest';
import { sealVlans } from './guest-to-run.ts';

test('an agent that knows no VLANs hears no id of a port that has one, which it refuses; of others it does', () => {
  const sealed = sealVlans(create(GuestSchema, { nics: [{ portId: 'flat' }, { portId: 'blue', vlan: 101 }] }));
  expect((asReleased(GuestSchema, sealed) as Guest).nics.map(({ portId, vlanPortId }) => [portId, vlanPortId])).toEqual([
    ['flat', ''],
    ['', ''],
  ]);
  expect(sealed.nics.map(({ vlanPortId }) => vlanPortId)).toEqual(['', 'blue']);
});
