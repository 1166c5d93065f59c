import type { ErrorCode } from '@godwit/domain/errors';

/**
 * The HTTP status of every refusal, the same for every API of ours. Source: the OpenStack compute API reference; `HostNotFound` and `NoValidHost`
 * are about a host named or asked for in a request, so 400 (a host that is itself the resource of a URL is `NotFound`).
 */
export function httpStatus(code: ErrorCode): number {
  switch (code) {
    case 'BadRequest':
    case 'SchemaViolation':
    case 'HostNotFound':
    case 'BareMetalTarget':
    case 'NoValidHost':
    case 'SameHost':
    case 'InvalidLocalStorage':
    case 'InvalidSharedStorage':
    case 'MigrationPreCheck':
    case 'ForbiddenCombination':
    case 'DeviceCannotMove':
    case 'PostCopyUnsafe':
    case 'HotPlugUnsupported':
    case 'InvalidMigrationState':
    case 'ImageTruncated':
    case 'ImageUnsafe':
      return 400;
    case 'Unauthorized':
      return 401;
    case 'Forbidden':
    case 'OverQuota':
      return 403;
    case 'NotFound':
    case 'ServerNotFound':
    case 'MigrationNotFound':
      return 404;
    case 'MethodNotAllowed':
      return 405;
    case 'UnsupportedMicroversion':
      return 406;
    case 'Conflict':
    case 'InvalidState':
    case 'ServerLocked':
    case 'BareMetalCannotMigrate':
    case 'SourceServiceDown':
    case 'CustodyRefused':
    case 'NoFreeDeviceSlot':
    case 'SuspendUnsupported':
    case 'SavedMemoryUnusable':
      return 409;
    case 'Gone':
      return 410;
    case 'ImageTooLarge':
    case 'NoSpace':
      return 413;
    case 'UnsupportedMediaType':
      return 415;
    case 'RateLimited':
      return 429;
    case 'Internal':
    case 'SuspendFailed':
    case 'GuestStartFailed':
    case 'NetworkSetupFailed':
    case 'InterfaceAttachFailed':
      return 500;
    case 'NotImplemented':
      return 501;
    case 'ServiceUnavailable':
    case 'AgentUnreachable':
    case 'PoolUnavailable':
      return 503;
  }
}
