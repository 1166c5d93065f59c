import { Type } from 'typebox';
import { Closed } from '../closed.ts';

/** Body of `POST /godwit/v1/join-tokens`: the one host that the token is for. */
export const NewJoinToken = Closed({ host: Type.String({ pattern: '^[A-Za-z0-9._-]{1,255}$' }) });
