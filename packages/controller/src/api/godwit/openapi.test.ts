import { readFileSync } from 'node:fs';
import { errorCodes } from '@godwit/domain/errors';
import { Ajv2020 } from 'ajv/dist/2020.js';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import type { AppContext } from '../../app-context.ts';
import { httpStatus } from '../http-status.ts';
import { openApiDocument } from './openapi.ts';
import { godwitPlugin } from './plugin.ts';
import { routeDocs } from './route-docs.ts';

type Operation = {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<
    Record<
      string,
      { readonly description?: string; readonly $ref?: string; readonly content?: Readonly<Record<string, { readonly schema: object }>> }
    >
  >;
};
type Document = {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
};

const document = JSON.parse(JSON.stringify(openApiDocument('https://cloud.example/godwit/v1'))) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, operation })),
);

const place = (told: readonly (readonly unknown[])[], [code]: readonly unknown[]): number => told.findIndex(([one]) => one === code);

async function served(): Promise<readonly string[]> {
  const app = Fastify();
  const routes: string[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat())
      if (one !== 'HEAD')
        routes.push(
          `${one} ${
            url
              .replace('/godwit/v1', '')
              .replace(/\/$/, '')
              .replaceAll(/:(\w+)/g, '{$1}') || '/'
          }`,
        );
  });
  const context = { config: { publicUrl: 'https://cloud.example', agentListen: { names: [] } }, db: {} } as unknown as AppContext;
  await app.register(async (scope) => godwitPlugin(scope, context), { prefix: '/godwit/v1' });
  await app.ready();
  const list = (await app.inject('/godwit/v1')).json() as { readonly resources: readonly string[] };
  expect(list.resources).toEqual(routeDocs.filter(({ path }) => path !== '/').map(({ method, path }) => `${method} ${path}`));
  expect((await app.inject('/godwit/v1/openapi.json')).json()).toMatchObject({
    openapi: '3.1.0',
    servers: [{ url: 'https://cloud.example/godwit/v1' }],
  });
  await app.close();
  // A websocket is an upgrade of the connection, and no route.
  return [...new Set([...routes, 'GET /consoles'])].toSorted();
}

describe('the OpenAPI document', () => {
  it('has every route that is served, and no other', async () => {
    expect(operations.map(({ name }) => name).toSorted()).toEqual(await served());
  });

  it('docs/api.md has the same routes', () => {
    const text = readFileSync(new URL('../../../../../docs/api.md', import.meta.url), 'utf8');
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(routeDocs.map(({ method, path, summary, who }) => `| \`${method} ${path}\` | ${summary} | ${who} |`));
  });

  it('docs/troubleshooting.md gives every code the status that it has', () => {
    const text = readFileSync(new URL('../../../../../docs/troubleshooting.md', import.meta.url), 'utf8');
    const told = [...text.matchAll(/^\| `(\w+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [code, Number(status)]);
    expect(told).toEqual(errorCodes.map((code) => [code, httpStatus(code)]).toSorted((a, b) => place(told, a) - place(told, b)));
  });

  it('names each operation once, and declares exactly the parameters of its path', () => {
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
    for (const { name, path, operation } of operations) {
      const declared = operation.parameters.filter((one) => one.in === 'path').map((one) => one.name);
      expect([name, declared]).toEqual([name, [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)]);
    }
  });

  it.each(operations)('$name: its schemas can be used, and its answers are described', ({ operation }) => {
    const ajv = new Ajv2020({ strict: false });
    const schemas = [operation.requestBody, ...Object.values(operation.responses)].flatMap((part) =>
      Object.values(part?.content ?? {}).map(({ schema }) => schema),
    );
    for (const schema of schemas) expect(() => ajv.compile({ ...schema, components: document.components })).not.toThrow();
    for (const answer of Object.values(operation.responses)) expect(answer.$ref ?? answer.description).toBeTruthy();
  });
});
