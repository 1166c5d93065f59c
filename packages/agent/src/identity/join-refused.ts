import { Code, ConnectError } from '@connectrpc/connect';
import { OtherAuthority } from './pinned-ca.ts';

/** This host is not taken into the cloud before an operator mends something: the message says what is wrong, and what to do. */
export class JoinRefused extends Error {}

/** The sentence for a failure to join that trying again does not mend; null for any other, such as a controller that is away. */
export function refusalOf(error: unknown, hostName: string): JoinRefused | null {
  const another = `\`godwit host add ${hostName}\` prints a token for the file of joinTokenFile`;
  if (error instanceof OtherAuthority)
    return new JoinRefused(`${error.message}: correct controllerUrl, or take a token of that cloud: ${another}`, { cause: error });
  if (!(error instanceof ConnectError)) return null;
  const refused = (remedy: string): JoinRefused => new JoinRefused(`${error.rawMessage}: ${remedy}`, { cause: error });
  switch (error.code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return refused(another);
    case Code.InvalidArgument:
      return refused('correct the configuration');
    case Code.FailedPrecondition:
      // Other conflicts pass.
      return error.metadata.get('godwit-code') === 'Conflict'
        ? refused(`choose another hostName, or where it is that host: ${another}`)
        : null;
    default:
      return null;
  }
}
