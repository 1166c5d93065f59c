import type { Cloud } from './cloud/cloud.ts';
import { find } from './cloud/find.ts';
import type { ShowResult } from './command.ts';
import { CommandError } from './command-error.ts';
import { isObject, type Json, type JsonObject, objectAt, objectsAt, textAt } from './json.ts';
import { type Cell, dictionary, dictionaryOfLists, Formatted, listOf, listOfDictionaries } from './render/cell.ts';

const powerStates = ['NOSTATE', 'Running', '', 'Paused', 'Shutdown', '', 'Crashed', 'Suspended'];

/** 1 → `Running`, as Nova numbers power states. */
export const powerState = (value: Json): Formatted =>
  new Formatted(value, typeof value === 'number' ? (powerStates[value] ?? 'N/A') : 'N/A');

/** The addresses of a server by network. */
export const networksOf = (server: JsonObject): Formatted =>
  dictionaryOfLists(
    Object.fromEntries(
      Object.entries(objectAt(server, 'addresses')).map(([name]) => [
        name,
        objectsAt(objectAt(server, 'addresses'), name).map((address) => textAt(address, 'addr')),
      ]),
    ),
  );

/** What a server without an image shows, word for word. */
export const BOOTED_FROM_VOLUME = 'N/A (booted from volume)';

/** The fields of a server as `server show` prints them: the API's own, with ids turned into names. */
export async function serverDetail(cloud: Cloud, server: JsonObject): Promise<ShowResult> {
  const [image, flavor] = await Promise.all([imageText(cloud, server), flavorCell(cloud, server)]);
  const fields = new Map<string, Cell>(Object.entries(server));
  fields.set('image', image);
  fields.set('flavor', flavor);
  rename(fields, 'os-extended-volumes:volumes_attached', 'volumes_attached', (value) => listOfDictionaries(list(value).filter(isObject)));
  rename(fields, 'security_groups', 'security_groups', (value) => listOfDictionaries(list(value).filter(isObject)));
  rename(fields, 'tags', 'tags', (value) => listOf(list(value)));
  fields.set('addresses', networksOf(server));
  rename(fields, 'metadata', 'properties', (value) => dictionary(isObject(value) ? value : {}));
  rename(fields, 'tenant_id', 'project_id', (value) => value);
  rename(fields, 'OS-EXT-STS:power_state', 'OS-EXT-STS:power_state', powerState);
  fields.delete('links');
  return [...fields].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function rename(fields: Map<string, Cell>, from: string, to: string, change: (value: Json) => Cell): void {
  const value = fields.get(from);
  if (value === undefined || value instanceof Formatted) return;
  fields.delete(from);
  fields.set(to, change(value));
}

const list = (value: Json): readonly Json[] => (Array.isArray(value) ? value : []);

async function imageText(cloud: Cloud, server: JsonObject): Promise<string> {
  const id = textAt(objectAt(server, 'image'), 'id');
  if (id === '') return BOOTED_FROM_VOLUME;
  const name = await nameOrNull(cloud, 'image', id);
  return name === null ? id : `${name} (${id})`;
}

async function flavorCell(cloud: Cloud, server: JsonObject): Promise<Cell> {
  const flavor = objectAt(server, 'flavor');
  // From 2.47 on the flavor is embedded, without its id.
  if (!('id' in flavor)) return dictionary(flavor);
  const id = textAt(flavor, 'id');
  const name = await nameOrNull(cloud, 'flavor', id);
  return name === null ? id : `${name} (${id})`;
}

async function nameOrNull(cloud: Cloud, kind: 'image' | 'flavor', id: string): Promise<string | null> {
  try {
    return textAt(await find(cloud, kind, id), 'name');
  } catch (error) {
    if (error instanceof CommandError) return null;
    throw error;
  }
}
