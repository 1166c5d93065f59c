import { errorCodes } from '@godwit/domain/errors';
import { godwitVersion } from '@godwit/domain/version';
import { httpStatus } from '../http-status.ts';
import { type RouteDoc, routeDocs } from './route-docs.ts';

/** Of every refusal. */
const failure = {
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'requestId'],
      additionalProperties: false,
      properties: { code: { type: 'string', enum: errorCodes }, message: { type: 'string' }, requestId: { type: 'string' } },
    },
  },
} as const;

const json = (schema: object): object => ({ 'application/json': { schema } });

/** The OpenAPI 3.1 document of /godwit/v1, made of the table of routes and the contract's own schemas. `server`: the URL that the API has. */
export function openApiDocument(server: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routeDocs) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Godwit',
      version: godwitVersion,
      description:
        "What OpenStack's APIs have no word for. Times are ISO 8601 UTC, durations milliseconds, sizes bytes; null: not known (yet).",
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: server }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token', description: 'From POST /identity/v3/auth/tokens.' },
      },
      schemas: { Failure: failure },
      responses: {
        Refused: {
          description: `Refused, with a code: ${errorCodes.map((code) => `${code} (${httpStatus(code)})`).join(', ')}.`,
          content: json({ $ref: '#/components/schemas/Failure' }),
        },
      },
    },
  };
}

function operationOf(route: RouteDoc): object {
  const { method, path, summary, who, query = {}, body, status, answer } = route;
  const content =
    answer === null ? (route.content === undefined ? null : { [route.content]: { schema: { type: 'string' } } }) : json(answer);
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(query).map(([name, description]) => ({
    name,
    in: 'query',
    required: false,
    description,
    schema: { type: 'string' },
  }));
  return {
    operationId: `${method.toLowerCase()}${path.replaceAll(/[/{}.-]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    ...(who === 'anyone'
      ? { security: [] }
      : { security: [{ token: [] }], description: who === 'admin' ? 'For admins.' : 'For members of the project, and admins.' }),
    parameters: [...inPath, ...inQuery],
    ...(body === undefined ? {} : { requestBody: { required: route.bodyOptional !== true, content: json(body) } }),
    responses: {
      [String(status)]: { description: summary, ...(content === null ? {} : { content }) },
      ...(who === 'anyone' ? {} : { default: { $ref: '#/components/responses/Refused' } }),
    },
  };
}
