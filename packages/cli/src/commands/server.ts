import type { Command } from '../command.ts';
import { serverActions } from './server/actions.ts';
import { serverConsole } from './server/console.ts';
import { serverCreate } from './server/create.ts';
import { serverDelete } from './server/delete.ts';
import { serverEvents } from './server/events.ts';
import { serverGroups } from './server/groups.ts';
import { serverImages } from './server/images.ts';
import { serverInterfaces } from './server/interfaces.ts';
import { serverList } from './server/list.ts';
import { serverMigrate } from './server/migrate.ts';
import { serverMigrations } from './server/migrations.ts';
import { serverEvacuate, serverRebuild } from './server/rebuild.ts';
import { serverResize } from './server/resize.ts';
import { serverScale } from './server/scale.ts';
import { serverSet } from './server/set.ts';
import { serverShelve } from './server/shelve.ts';
import { serverShow } from './server/show.ts';
import { serverVolumes } from './volume.ts';

export const commands: readonly Command[] = [
  serverList,
  serverShow,
  serverCreate,
  serverDelete,
  ...serverActions,
  serverShelve,
  ...serverSet,
  ...serverConsole,
  serverMigrate,
  serverResize,
  serverScale,
  serverRebuild,
  serverEvacuate,
  ...serverInterfaces,
  ...serverVolumes,
  ...serverImages,
  ...serverMigrations,
  ...serverEvents,
  ...serverGroups,
];
