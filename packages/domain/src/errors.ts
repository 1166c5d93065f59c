/**
 * Every refusal a caller can meet, with a stable code. The controller maps each code to HTTP in one exhaustive switch
 * (controller/src/api/http-status.ts); the message is the sentence for the person.
 */
export const errorCodes = [
  'BadRequest',
  'SchemaViolation',
  'Unauthorized',
  'Forbidden',
  'NotFound',
  'MethodNotAllowed',
  'Gone',
  'Conflict',
  'UnsupportedMicroversion',
  'UnsupportedMediaType',
  'OverQuota',
  'RateLimited',
  'NotImplemented',
  'ServiceUnavailable',
  'Internal',
  'ServerNotFound',
  'HostNotFound',
  'MigrationNotFound',
  'InvalidState',
  'ServerLocked',
  'BareMetalCannotMigrate',
  'BareMetalTarget',
  'NoValidHost',
  'SameHost',
  'SourceServiceDown',
  'InvalidLocalStorage',
  'InvalidSharedStorage',
  'MigrationPreCheck',
  'ForbiddenCombination',
  'DeviceCannotMove',
  'PostCopyUnsafe',
  'HotPlugUnsupported',
  'NoFreeDeviceSlot',
  'InterfaceAttachFailed',
  'SuspendUnsupported',
  'SuspendFailed',
  'SavedMemoryUnusable',
  'InvalidMigrationState',
  'ImageTooLarge',
  'ImageTruncated',
  'ImageUnsafe',
  'NoSpace',
  'CustodyRefused',
  'AgentUnreachable',
  'GuestStartFailed',
  'NetworkSetupFailed',
  'PoolUnavailable',
] as const;
export type ErrorCode = (typeof errorCodes)[number];

/** A refusal with a code; `details` go to the log and to those who may see them, never to the HTTP message. */
export class GodwitError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'GodwitError';
    this.code = code;
    this.details = details;
  }
}
