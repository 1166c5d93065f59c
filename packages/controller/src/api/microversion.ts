/**
 * Microversion negotiation (OpenStack API-WG "microversion specification"; compute's legacy header is Nova's own).
 * A version is its minor number: compute's major is always 2, placement's always 1.
 */
export type MicroversionService = {
  /** The word before the number in `OpenStack-API-Version`. */
  readonly name: string;
  readonly major: number;
  readonly minMinor: number;
  readonly maxMinor: number;
  /** Older header with the bare number, in lower case, or null. */
  readonly legacyHeader: string | null;
};

export type Negotiated =
  | { readonly ok: true; readonly minor: number }
  /** `asked` goes back in the response headers of a 406, as the caller wrote it. */
  | { readonly ok: false; readonly status: 400 | 406; readonly asked: string | null; readonly message: string };

/** One header of a request: absent, one line, or several lines. */
export type HeaderValue = string | readonly string[] | undefined;

export const computeMicroversions: MicroversionService = {
  name: 'compute',
  major: 2,
  minMinor: 1,
  maxMinor: 93,
  legacyHeader: 'x-openstack-nova-api-version',
};

/**
 * What the request asks for. `OpenStack-API-Version` wins when one of its entries names the service, else the legacy header, else the minimum.
 * `latest` is the maximum. Never throws.
 */
export function negotiate(service: MicroversionService, headers: { readonly [name: string]: HeaderValue }): Negotiated {
  const asked = askedFor(service, headers);
  if (asked === null) return { ok: true, minor: service.minMinor };
  if (asked === 'latest') return { ok: true, minor: service.maxMinor };
  const match = /^([1-9]\d{0,5})\.([1-9]\d{0,5}|0)$/.exec(asked);
  if (match === null) {
    return {
      ok: false,
      status: 400,
      asked: null,
      message: `API Version String ${printable(asked)} is of invalid format. Must be of format MajorNum.MinorNum.`,
    };
  }
  const minor = Number(match[2]);
  if (Number(match[1]) !== service.major || minor < service.minMinor || minor > service.maxMinor) {
    return {
      ok: false,
      status: 406,
      asked,
      message: `Version ${asked} is not supported by the API. Minimum is ${service.major}.${service.minMinor} and maximum is ${service.major}.${service.maxMinor}.`,
    };
  }
  return { ok: true, minor };
}

/** The response headers of a negotiated (or, for 406, of the refused) version: both spellings, and `Vary` naming both. */
export function microversionHeaders(service: MicroversionService, version: string): Record<string, string> {
  if (service.legacyHeader === null) return { 'openstack-api-version': `${service.name} ${version}`, vary: 'OpenStack-API-Version' };
  return {
    'openstack-api-version': `${service.name} ${version}`,
    [service.legacyHeader]: version,
    vary: 'OpenStack-API-Version, X-OpenStack-Nova-API-Version',
  };
}

function askedFor(service: MicroversionService, headers: { readonly [name: string]: HeaderValue }): string | null {
  const entries = lines(headers['openstack-api-version'])
    .flatMap((line) => line.split(','))
    .map((entry) => entry.trim().split(/\s+/));
  const named = entries.find(([name]) => name?.toLowerCase() === service.name);
  if (named !== undefined) return named.slice(1).join(' ');
  const legacy = service.legacyHeader === null ? undefined : lines(headers[service.legacyHeader])[0]?.trim();
  return legacy === undefined || legacy === '' ? null : legacy;
}

function lines(value: HeaderValue): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

/** What a header held goes back into a message: short and without control characters. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 60);
}
