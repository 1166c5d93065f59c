import { type ImagePatch, imageAttributes, imagePropertyValue, imageWritable } from '@godwit/contract/schemas/image/images';
import { GodwitError } from '@godwit/domain/errors';
import { assertBody } from '../json-body.ts';

/** An image's changeable part: attributes by their API names, properties apart. */
export type ImageContent = {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly properties: Readonly<Record<string, string>>;
};

/** Attributes that can be set but not taken away get this value back on `remove`. */
const removable: Readonly<Record<string, unknown>> = { name: null, tags: [] };

/** Applies the operations in order. Pure. Throws Forbidden (read-only attribute), Conflict (no such property), BadRequest, SchemaViolation. */
export function applyImagePatch(content: ImageContent, patch: ImagePatch): ImageContent {
  const attributes: Record<string, unknown> = { ...content.attributes };
  const properties: Record<string, string> = { ...content.properties };
  for (const { op, name, value } of patch.map(normalised)) {
    if (Object.hasOwn(imageWritable, name)) {
      if (op === 'remove') {
        if (!Object.hasOwn(removable, name)) throw new GodwitError('Forbidden', `Property ${name} may not be removed.`);
        attributes[name] = removable[name];
      } else {
        assertBody(imageWritable[name] ?? {}, value ?? null);
        attributes[name] = value;
      }
    } else if (imageAttributes.includes(name)) {
      throw new GodwitError('Forbidden', `Attribute '${name}' is read-only.`);
    } else if (op === 'add') {
      assertBody(imagePropertyValue, value);
      properties[name] = value as string;
    } else {
      if (!Object.hasOwn(properties, name)) throw new GodwitError('Conflict', `Property ${name} does not exist.`);
      if (op === 'remove') delete properties[name];
      else {
        assertBody(imagePropertyValue, value);
        properties[name] = value as string;
      }
    }
  }
  return { attributes, properties };
}

/** One operation of either generation, its path as a plain name (JSON pointer with one element). */
function normalised(operation: ImagePatch[number]): {
  readonly op: 'add' | 'replace' | 'remove';
  readonly name: string;
  readonly value: unknown;
} {
  const [op, path, value] =
    'op' in operation
      ? ([operation.op, operation.path, operation.value] as const)
      : 'add' in operation
        ? (['add', operation.add, operation.value] as const)
        : 'replace' in operation
          ? (['replace', operation.replace, operation.value] as const)
          : (['remove', operation.remove, undefined] as const);
  const match = /^\/([^/]+)$/.exec(path);
  if (match === null || /~(?![01])/.test(path)) throw new GodwitError('BadRequest', `Invalid JSON pointer for this resource: '${path}'`);
  const name = (match[1] ?? '').replaceAll('~1', '/').replaceAll('~0', '~');
  if (name === '__proto__' || name.length > 255) throw new GodwitError('BadRequest', `Invalid property name: '${name.slice(0, 255)}'`);
  if (op !== 'remove' && value === undefined) throw new GodwitError('BadRequest', 'Operation objects must contain "value".');
  return { op, name, value };
}
