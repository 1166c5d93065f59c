import type { Context, Span, Tracer } from '@opentelemetry/api';
import { currentScope, type RequestScope, withinScope } from './request-scope.ts';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

type Running = {
  readonly tracer: Tracer;
  readonly contextOf: (traceparent: string | null) => Context;
  readonly traceparentOf: (span: Span) => string;
  readonly failed: number;
};

/** Of this process: there is one collector, as there is one log. */
let running: Running | null = null;

/** A span that is begun in one place and ended in another; `scope` is for what is done within it. */
export type OpenSpan = { readonly scope: RequestScope; readonly end: (attributes: Attributes, failure: string | null) => void };

/** Begins a span under `parent`. Without tracing the scope is the parent's and the end does nothing. */
export function openSpan(name: string, attributes: Attributes, parent: RequestScope): OpenSpan {
  if (running === null) return { scope: parent, end: () => {} };
  const { tracer, contextOf, traceparentOf, failed } = running;
  const all = { 'godwit.request_id': parent.requestId, ...attributes };
  const span = tracer.startSpan(name, { attributes: all }, contextOf(parent.traceparent));
  return {
    scope: { requestId: parent.requestId, traceparent: traceparentOf(span) },
    end: (more, failure) => {
      span.setAttributes({ ...more });
      if (failure !== null) span.setStatus({ code: failed, message: failure });
      span.end();
    },
  };
}

/**
 * Runs `work` within a span that is a child of the current request's trace. Without tracing, or outside every request, it only runs `work`. A rejection marks the span
 * and is passed on; `ordinary` tells rejections that are no failure.
 */
export async function traced<Result>(
  name: string,
  attributes: Attributes,
  work: () => Promise<Result>,
  ordinary: (error: unknown) => boolean = () => false,
): Promise<Result> {
  const parent = currentScope();
  if (running === null || parent === null) return work();
  const span = openSpan(name, attributes, parent);
  try {
    const result = await withinScope(span.scope, work);
    span.end({}, null);
    return result;
  } catch (error) {
    span.end({}, ordinary(error) ? null : error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/**
 * Sends spans to an OTLP/HTTP collector (`<endpoint>/v1/traces`) until the returned function is called, which sends what is left, for 2 s at most. OpenTelemetry is loaded here and nowhere else. A collector that is
 * away costs its spans and nothing more.
 */
export async function startTracing(endpoint: string, service: string, attributes: Attributes = {}): Promise<() => Promise<void>> {
  const [api, { BatchSpanProcessor, BasicTracerProvider }, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, ...attributes }),
    spanProcessors: [
      new BatchSpanProcessor(new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces`, timeoutMillis: 5_000 }), {
        scheduledDelayMillis: 1_000,
      }),
    ],
  });
  running = {
    tracer: provider.getTracer('godwit'),
    failed: api.SpanStatusCode.ERROR,
    contextOf: (traceparent) => {
      if (traceparent === null) return api.ROOT_CONTEXT;
      const [, traceId = '', spanId = '', flags = '01'] = traceparent.split('-');
      return api.trace.setSpanContext(api.ROOT_CONTEXT, { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true });
    },
    traceparentOf: (span) => {
      const { traceId, spanId, traceFlags } = span.spanContext();
      return `00-${traceId}-${spanId}-0${traceFlags & 1}`;
    },
  };
  return async () => {
    running = null;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, 2_000);
    });
    await Promise.race([provider.shutdown().catch(() => {}), late]);
    clearTimeout(timer);
  };
}
