import { Type } from 'typebox';
import { Closed } from '../closed.ts';

/** Body of `PATCH /godwit/v1/hosts/{name}`: what an operator sets of one host. */
export const HostSettings = Closed({ restartGuestsAfterBoot: Type.Boolean() });
