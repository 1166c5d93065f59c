import { Code, ConnectError } from '@connectrpc/connect';
import { type ErrorCode, GodwitError } from '@godwit/domain/errors';
import { CustodyRefused } from '../custody/custody-refused.ts';

/**
 * Any error as a Connect error with metadata `godwit-code` (a code of domain/errors or of custody's refusals), and for refusals
 * `godwit-known-epoch` and `godwit-known-fence`.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof CustodyRefused) {
    const { refusal } = error;
    return coded(error.message, Code.FailedPrecondition, refusal.code, error, {
      'godwit-known-epoch': String(refusal.knownEpoch),
      'godwit-known-fence': String(refusal.knownFence),
    });
  }
  if (error instanceof GodwitError) return coded(error.message, codeOf(error.code), error.code, error);
  return coded(error instanceof Error ? error.message : String(error), Code.Internal, 'Internal', error);
}

// Header values are bytes: a message may hold anything, so only codes and numbers travel there.
const coded = (message: string, code: Code, godwitCode: string, cause: unknown, extra: Record<string, string> = {}): ConnectError =>
  new ConnectError(message, code, { 'godwit-code': godwitCode, ...extra }, undefined, cause);

function codeOf(code: ErrorCode): Code {
  switch (code) {
    case 'BadRequest':
    case 'SchemaViolation':
    case 'UnsupportedMediaType':
    case 'ImageUnsafe':
    case 'ImageTruncated':
    case 'ImageTooLarge':
      return Code.InvalidArgument;
    case 'Unauthorized':
      return Code.Unauthenticated;
    case 'Forbidden':
      return Code.PermissionDenied;
    case 'NotFound':
    case 'ServerNotFound':
    case 'HostNotFound':
    case 'MigrationNotFound':
      return Code.NotFound;
    case 'NotImplemented':
    case 'MethodNotAllowed':
    case 'Gone':
    case 'UnsupportedMicroversion':
      return Code.Unimplemented;
    case 'NoSpace':
    case 'OverQuota':
    case 'RateLimited':
      return Code.ResourceExhausted;
    case 'ServiceUnavailable':
    case 'AgentUnreachable':
    case 'SourceServiceDown':
    case 'PoolUnavailable':
      return Code.Unavailable;
    case 'Conflict':
    case 'InvalidState':
    case 'HotPlugUnsupported':
    case 'NoFreeDeviceSlot':
    case 'ServerLocked':
    case 'BareMetalCannotMigrate':
    case 'BareMetalTarget':
    case 'NoValidHost':
    case 'SameHost':
    case 'InvalidLocalStorage':
    case 'InvalidSharedStorage':
    case 'MigrationPreCheck':
    case 'ForbiddenCombination':
    case 'DeviceCannotMove':
    case 'PostCopyUnsafe':
    case 'SuspendUnsupported':
    case 'SavedMemoryUnusable':
    case 'InvalidMigrationState':
    case 'CustodyRefused':
      return Code.FailedPrecondition;
    case 'Internal':
    case 'SuspendFailed':
    case 'GuestStartFailed':
    case 'NetworkSetupFailed':
    case 'InterfaceAttachFailed':
      return Code.Internal;
  }
}
