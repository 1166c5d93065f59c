import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { computeMicroversions, microversionHeaders, negotiate } from './microversion.ts';

const ask = (headers: Record<string, string>) => negotiate(computeMicroversions, headers);

describe('negotiate', () => {
  it('is the minimum without a header', () => expect(ask({})).toEqual({ ok: true, minor: 1 }));
  it('reads the new header', () => expect(ask({ 'openstack-api-version': 'compute 2.53' })).toEqual({ ok: true, minor: 53 }));
  it('reads the legacy header', () => expect(ask({ 'x-openstack-nova-api-version': '2.30' })).toEqual({ ok: true, minor: 30 }));
  it('prefers the new header', () =>
    expect(ask({ 'openstack-api-version': 'compute 2.53', 'x-openstack-nova-api-version': '2.30' })).toEqual({ ok: true, minor: 53 }));
  it('falls back to the legacy header when the new one names another service', () =>
    expect(ask({ 'openstack-api-version': 'placement 1.29', 'x-openstack-nova-api-version': '2.30' })).toEqual({ ok: true, minor: 30 }));
  it('finds its service in a list', () =>
    expect(ask({ 'openstack-api-version': 'placement 1.29, compute 2.10' })).toEqual({ ok: true, minor: 10 }));
  it('knows latest', () => {
    expect(ask({ 'openstack-api-version': 'compute latest' })).toEqual({ ok: true, minor: 93 });
    expect(ask({ 'x-openstack-nova-api-version': 'latest' })).toEqual({ ok: true, minor: 93 });
  });
  it.each(['2.0', '2.94', '3.1', '1.1', '2.999'])('refuses %s with 406 and echoes it', (version) => {
    const answer = ask({ 'openstack-api-version': `compute ${version}` });
    expect(answer).toMatchObject({ ok: false, status: 406, asked: version });
    if (!answer.ok) expect(answer.message).toBe(`Version ${version} is not supported by the API. Minimum is 2.1 and maximum is 2.93.`);
  });
  it.each(['', '2', '2.', '.1', 'two', '2.01', '2.1.1', '-2.1', '2.1x', 'LATEST', '02.1'])('refuses %j with 400', (version) => {
    expect(ask({ 'openstack-api-version': `compute ${version}` })).toMatchObject({ ok: false, status: 400 });
  });
  it('never throws and never resolves outside the range', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const answer = ask({ 'openstack-api-version': a, 'x-openstack-nova-api-version': b });
        return !answer.ok || (answer.minor >= 1 && answer.minor <= 93);
      }),
    );
  });
});

describe('microversionHeaders', () => {
  it('sets both headers and Vary', () => {
    expect(microversionHeaders(computeMicroversions, '2.53')).toEqual({
      'openstack-api-version': 'compute 2.53',
      'x-openstack-nova-api-version': '2.53',
      vary: 'OpenStack-API-Version, X-OpenStack-Nova-API-Version',
    });
  });
});
