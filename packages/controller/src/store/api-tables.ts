import type { ColumnType, Generated } from 'kysely';

type Now = ColumnType<Date, Date | undefined, Date>;

/** The tables of migrations 0020 … 0039 (identity and compute API). The columns that 0021 adds to `server` are in core-tables.ts. */
export interface ApiTables {
  identity_domain: DomainTable;
  identity_project: ProjectTable;
  identity_user: UserTable;
  identity_role: { id: string; name: string; description: string | null; created_at: Now };
  role_assignment: { user_id: string; role_id: string; project_id: string | null; domain_id: string | null };
  token_key: { id: string; secret: Buffer; created_at: Now };
  token_revocation: { audit_id: string; expires_at: Date };
  login_attempt: { bucket: string; attempts: number; window_ends_at: Date };
  keypair: KeypairTable;
}

export interface DomainTable {
  id: string;
  name: string;
  description: Generated<string>;
  enabled: Generated<boolean>;
  created_at: Now;
}

export interface ProjectTable {
  id: string;
  domain_id: string;
  name: string;
  description: Generated<string>;
  enabled: Generated<boolean>;
  created_at: Now;
}

export interface UserTable {
  id: string;
  domain_id: string;
  name: string;
  password_hash: string | null;
  email: string | null;
  description: string | null;
  default_project_id: string | null;
  enabled: Generated<boolean>;
  tokens_valid_after: Now;
  created_at: Now;
}

export interface KeypairTable {
  user_id: string;
  name: string;
  type: Generated<'ssh' | 'x509'>;
  public_key: string;
  fingerprint: string;
  api_id: Generated<number>;
  created_at: Now;
}
