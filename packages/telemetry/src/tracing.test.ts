import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { receiveScope, sendScope, withinScope } from './request-scope.ts';
import { startTracing, traced } from './tracing.ts';

type Sent = {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly status?: { readonly code?: number };
};

describe('traces', () => {
  it('reach the collector, each span under the one that it was begun in, also across a call', async () => {
    const spans: Sent[] = [];
    const services = new Set<string>();
    const collector = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { resourceSpans } = JSON.parse(body) as {
          readonly resourceSpans: readonly {
            readonly resource: {
              readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
            };
            readonly scopeSpans: readonly { readonly spans: readonly Sent[] }[];
          }[];
        };
        for (const { resource, scopeSpans } of resourceSpans) {
          services.add(resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '');
          for (const { spans: some } of scopeSpans) spans.push(...some);
        }
        response.end('{}');
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const stop = await startTracing(`http://127.0.0.1:${(collector.address() as AddressInfo).port}`, 'godwit-controller');
    const remote = async (headers: Headers) => {
      const scope = receiveScope(headers);
      if (scope === null) throw new Error('no scope arrived');
      await withinScope(scope, () => traced('agent', {}, async () => {}));
    };
    await withinScope({ requestId: 'req-1', traceparent: null }, () =>
      traced('request', { status: 202 }, async () => {
        const headers = new Headers();
        await traced('call', {}, async () => {
          sendScope(headers);
          await remote(headers);
        });
        await traced('failing', {}, () => Promise.reject(new Error('no'))).catch(() => {});
      }),
    );
    await traced('nobody asked', {}, async () => {});
    await stop();
    await new Promise((resolve) => collector.close(resolve));
    const of = (name: string) => spans.find((span) => span.name === name);
    expect(spans.map(({ name }) => name).sort()).toEqual(['agent', 'call', 'failing', 'request']);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(of('call')?.parentSpanId).toBe(of('request')?.spanId);
    expect(of('agent')?.parentSpanId).toBe(of('call')?.spanId);
    expect(of('failing')?.status?.code).toBe(2);
    expect([...services]).toEqual(['godwit-controller']);
  });

  it('are off unless they were started: work runs as it is', async () => {
    expect(await withinScope({ requestId: 'req-1', traceparent: null }, () => traced('x', {}, async () => 7))).toBe(7);
  });

  it('cost nothing but themselves when the collector is away', async () => {
    const stop = await startTracing('http://127.0.0.1:9', 'godwit-agent');
    expect(await withinScope({ requestId: 'req-1', traceparent: null }, () => traced('x', {}, async () => 7))).toBe(7);
    await stop();
  });
});
