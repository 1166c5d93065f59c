import { randomUUID } from 'node:crypto';
import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import type { Agents } from '../agents/agents.ts';
import { bootstrapIdentity, newIdentityId } from '../auth/bootstrap.ts';
import { hashPassword } from '../auth/passwords.ts';
import type { Db } from '../store/database.ts';
import type { ServerOperations } from '../workflows/operations.ts';
import { registerCompute } from './compute/plugin.ts';
import { registerIdentity } from './identity/plugin.ts';
import type { ApiContext } from './request-context.ts';

/** A user of a test with a token of their project. */
export type TestUser = {
  readonly userId: string;
  readonly projectId: string;
  readonly name: string;
  readonly password: string;
  readonly token: string;
};

/** Identity and compute over a test database, every answer held against its closed schema. What is not given refuses to be called. */
export type TestApi = {
  readonly app: FastifyInstance;
  readonly context: ApiContext;
  readonly admin: TestUser;
  /** Errors that became a 500 or 503, newest last. */
  readonly unexpected: readonly unknown[];
  readonly user: (role: 'admin' | 'member' | 'reader', projectId?: string) => Promise<TestUser>;
  readonly call: (method: NonNullable<InjectOptions['method']>, url: string, options?: CallOptions) => Promise<LightMyRequestResponse>;
};

export type CallOptions = {
  readonly as?: TestUser | null;
  readonly body?: object;
  readonly microversion?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

export type TestApiParts = {
  readonly operations?: ServerOperations;
  readonly agents?: Agents;
  /** Registers further services of the same application. */
  readonly more?: (app: FastifyInstance, context: ApiContext) => Promise<void>;
};

export async function startTestApi(db: Db, parts: TestApiParts = {}): Promise<TestApi> {
  const unexpected: unknown[] = [];
  const log = pino({ level: 'silent' });
  const recording = Object.assign(Object.create(log) as typeof log, { error: (entry: unknown) => unexpected.push(entry) });
  const context: ApiContext = {
    db,
    log: recording,
    config: { publicUrl: process.env['GODWIT_TEST_PUBLIC_URL'] ?? 'http://127.0.0.1:8774', region: 'RegionOne' },
    operations: parts.operations ?? refusing<ServerOperations>('operations'),
    agents: parts.agents ?? refusing<Agents>('agents'),
  };
  const app = Fastify({ genReqId: () => `req-${randomUUID()}`, routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 } });
  await app.register(async (scope) => registerIdentity(scope, context, { checkResponses: true }), { prefix: '/identity' });
  await app.register(async (scope) => registerCompute(scope, context, { checkResponses: true }), { prefix: '/compute' });
  await parts.more?.(app, context);
  await app.ready();

  const logIn = async (name: string, password: string, projectId: string): Promise<string> => {
    const answer = await app.inject({
      method: 'POST',
      url: '/identity/v3/auth/tokens',
      payload: {
        auth: {
          identity: { methods: ['password'], password: { user: { name, domain: { id: 'default' }, password } } },
          scope: { project: { id: projectId } },
        },
      },
    });
    const token = answer.headers['x-subject-token'];
    if (answer.statusCode !== 201 || typeof token !== 'string') throw new Error(`log in failed: ${answer.statusCode} ${answer.body}`);
    return token;
  };
  const made = await bootstrapIdentity(db);
  if (!made.created) throw new Error('the test database is not fresh');
  const adminRow = await db
    .selectFrom('identity_user')
    .select(['id', 'default_project_id'])
    .where('name', '=', 'admin')
    .executeTakeFirstOrThrow();
  const adminProject = adminRow.default_project_id ?? '';
  const admin: TestUser = {
    userId: adminRow.id,
    projectId: adminProject,
    name: 'admin',
    password: made.password,
    token: await logIn('admin', made.password, adminProject),
  };

  return {
    app,
    context,
    admin,
    unexpected,
    user: async (role, projectId) => {
      const name = `${role}-${randomUUID().slice(0, 8)}`;
      const password = randomUUID();
      const userId = newIdentityId();
      const project = projectId ?? newIdentityId();
      if (projectId === undefined)
        await db
          .insertInto('identity_project')
          .values({ id: project, domain_id: 'default', name: `project-${project}` })
          .execute();
      await db
        .insertInto('identity_user')
        .values({
          id: userId,
          domain_id: 'default',
          name,
          password_hash: await hashPassword(password),
          email: null,
          description: null,
          default_project_id: null,
        })
        .execute();
      const { id: role_id } = await db.selectFrom('identity_role').select('id').where('name', '=', role).executeTakeFirstOrThrow();
      await db.insertInto('role_assignment').values({ user_id: userId, role_id, project_id: project, domain_id: null }).execute();
      return { userId, projectId: project, name, password, token: await logIn(name, password, project) };
    },
    call: (method, url, options = {}) => {
      const as = options.as === undefined ? admin : options.as;
      return app.inject({
        method,
        url,
        headers: {
          ...(as === null ? {} : { 'x-auth-token': as.token }),
          ...(options.microversion === undefined
            ? {}
            : { 'openstack-api-version': `compute ${options.microversion}`, 'x-openstack-nova-api-version': options.microversion }),
          ...options.headers,
        },
        ...(options.body === undefined ? {} : { payload: options.body }),
      });
    },
  };
}

/** An object whose every property throws when it is called: a test that needs it has to say so. */
function refusing<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get: (_target, property) => () => {
      throw new Error(`the test gave no ${name}.${String(property)}`);
    },
  });
}
