import type { HttpFailure } from '../http-error.ts';

const types: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'HTTPUnauthorized',
  403: 'PolicyNotAuthorized',
  404: 'HTTPNotFound',
  405: 'HTTPMethodNotAllowed',
  409: 'Conflict',
  415: 'HTTPUnsupportedMediaType',
  503: 'HTTPServiceUnavailable',
};

/** `{"NeutronError": {"type", "message", "detail"}}` */
export const networkErrorBody = ({ status, message }: HttpFailure) => ({
  NeutronError: { type: types[status] ?? 'HTTPInternalServerError', message, detail: '' },
});
