import { readFileSync } from 'node:fs';
import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/** The newest released protocol. */
export const releasedProtocolFile = new URL('../../released/agent-protocol-0.1.0.binpb', import.meta.url);

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(releasedProtocolFile)));

/** A service as it was released; undefined when it was not there yet. */
export const releasedService = (typeName: string): DescService | undefined => registry.getService(typeName);

/** What arrives when a program of that release passes a message on: fields that it did not know are gone. */
export function asReleased<Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>): Message {
  const released = registry.getMessage(schema.typeName);
  if (released === undefined) throw new Error(`${schema.typeName} was not released`);
  const whole = toBinary(schema, create(schema, message));
  return fromBinary(schema, toBinary(released, fromBinary(released, whole, { readUnknownFields: false })));
}

/** The method of that name as it was released; undefined when it was not there yet. */
export const releasedMethod = (service: string, localName: string): DescMethod | undefined =>
  registry.getService(service)?.methods.find((method) => method.localName === localName);
