/** What Node's and PostgreSQL's errors carry beside their message. */
type Failure = Error & {
  readonly code?: string;
  readonly path?: string;
  readonly address?: string;
  readonly port?: number;
};

/**
 * The one sentence, with what to do, for what the system refuses a program at its start: files, ports, a database that cannot be reached. Null for any other error. It never repeats a password: only paths,
 * addresses and what the system or the database says.
 */
export function systemFailure(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  // Node tries every address of a name, and tells of each.
  const { code, path, address, port, message }: Failure = error instanceof AggregateError ? (error.errors[0] as Failure) : error;
  const where = address === undefined ? 'the address' : `${address}${port === undefined ? '' : ` port ${port}`}`;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return path === undefined
        ? `${message}: run it as the user that may, as its systemd unit does`
        : `${path} may not be used by this user (${code}): run it as the user that owns it, as its systemd unit does, or change the owner`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `${path ?? 'a directory'} cannot be made (${code}): something else has that name; correct the configuration, or take it away`;
    case 'EROFS':
      return `${path ?? 'a file'} cannot be written to (EROFS): mount it writable; a systemd unit needs ReadWritePaths= for it`;
    case 'ENOSPC':
      return `${path ?? 'the file system'} is full (ENOSPC): make room`;
    case 'EADDRINUSE':
      return `${where} is in use: stop what listens there (ss -tlnp names it), or choose another port`;
    case 'EADDRNOTAVAIL':
      return `${where} is none of this machine: correct the configuration`;
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ETIMEDOUT':
      return `nothing answers at ${address === undefined ? message : where} (${code}): start what should, or correct the address`;
    // PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
    case '28P01':
    case '28000':
      return `the database refuses the user (${message}): correct databaseUrl, or the user's password and pg_hba.conf`;
    case '3D000':
      return `${message}: create it (createdb), or correct databaseUrl`;
    case '42501':
      return `the database's user may not do it (${message}): make it the owner of the database`;
    case '57P03':
    case '53300':
      return `the database takes no connection now (${message}): try again when it does`;
    default:
      return null;
  }
}
