import type { Readable } from 'node:stream';
import { CommandError } from '../command-error.ts';
import { isObject, type Json, type JsonObject, objectsAt, textAt } from '../json.ts';
import { type Answer, isStream, type Request, send, sendForStream, succeeded } from './http.ts';

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** One API of the cloud, at its endpoint, with the caller's token. Every method throws `HttpError` for an answer of 400 and above. */
export class Service {
  readonly endpoint: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #renew: () => Promise<string | null>;

  /** `renew`: another token in place of one that was refused, or null when there is none. */
  constructor(endpoint: string, headers: Readonly<Record<string, string>>, renew: () => Promise<string | null> = async () => null) {
    this.endpoint = endpoint.replace(/\/+$/, '');
    this.#headers = headers;
    this.#renew = renew;
  }

  /** The same API with other headers: another microversion, another type of content. */
  with(headers: Readonly<Record<string, string>>): Service {
    return new Service(this.endpoint, { ...this.#headers, ...headers }, this.#renew);
  }

  async answer(method: Request['method'], path: string, body?: Request['body'], signal?: AbortSignal): Promise<Answer> {
    const request = {
      method,
      url: path.startsWith('http') ? path : this.endpoint + path,
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    };
    const answer = await send({ ...request, headers: this.#headers });
    // A stream is sent once. What was refused for its token has changed nothing, so that it may be asked again.
    if (answer.status !== 401 || isStream(body)) return answer;
    const token = await this.#renew();
    return token === null ? answer : send({ ...request, headers: { ...this.#headers, 'x-auth-token': token } });
  }

  /** A file, as it arrives. */
  async download(path: string): Promise<Readable> {
    const request = { method: 'GET', url: this.endpoint + path } as const;
    let answer = await sendForStream({ ...request, headers: this.#headers });
    const token = answer.status === 401 ? await this.#renew() : null;
    if (token !== null) answer = await sendForStream({ ...request, headers: { ...this.#headers, 'x-auth-token': token } });
    if ('stream' in answer) return answer.stream;
    const { status } = succeeded(answer);
    throw new CommandError(`There is no data to save (HTTP ${status}).`);
  }

  async get(path: string, query: Query = {}): Promise<Json> {
    return succeeded(await this.answer('GET', path + queryText(query))).body;
  }

  /** Every member of a list, all its pages: the next one is where the answer's `KEY_links` or `links.next` says. */
  async all(path: string, key: string, query: Query = {}): Promise<readonly JsonObject[]> {
    const found: JsonObject[] = [];
    let at: string | null = path + queryText(query);
    while (at !== null) {
      const body: Json = succeeded(await this.answer('GET', at)).body;
      const page = objectsAt(body, key);
      found.push(...page);
      at = page.length === 0 ? null : this.#next(body, key);
    }
    return found;
  }

  async post(path: string, body: Request['body'] = {}): Promise<Json> {
    return succeeded(await this.answer('POST', path, body)).body;
  }

  async put(path: string, body?: Request['body']): Promise<Json> {
    return succeeded(await this.answer('PUT', path, body)).body;
  }

  async patch(path: string, body: Json): Promise<Json> {
    return succeeded(await this.answer('PATCH', path, body)).body;
  }

  async delete(path: string, body?: Json): Promise<Json> {
    return succeeded(await this.answer('DELETE', path, body)).body;
  }

  #next(body: Json, key: string): string | null {
    const link = objectsAt(body, `${key}_links`).find((each) => each.rel === 'next');
    const plain = isObject(body) ? textAt(body.links, 'next') || textAt(body, 'next') : '';
    const href = link === undefined ? plain : textAt(link, 'href');
    if (href === '') return null;
    // Behind a proxy the link may name another origin: only its path and query are taken.
    const url = new URL(href, this.endpoint);
    return new URL(this.endpoint).origin + url.pathname + url.search;
  }
}

function queryText(query: Query): string {
  const parts = Object.entries(query).flatMap(([key, value]) =>
    value === null || value === undefined ? [] : [`${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
