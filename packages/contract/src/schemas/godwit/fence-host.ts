import { Type } from 'typebox';
import { Closed } from '../closed.ts';

/** Body of `POST /godwit/v1/hosts/{name}/fence`. `confirmed`: the operator's word that nothing there can run, or reach a disk or network, any more. */
export const FenceHost = Closed({ confirmed: Type.Boolean() });
