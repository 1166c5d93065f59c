import { type Api, ApiRefusal, sentenceOf } from './request.ts';

export type NewImage = { readonly name: string; readonly diskFormat: 'qcow2' | 'raw'; readonly visibility: 'private' | 'public' };

/**
 * Registers the image and sends its data, telling after each part how much has gone. Resolves when the service has accepted all of it. When it throws, or is
 * aborted, the half-registered image is deleted again.
 */
export async function uploadImage(
  api: Api,
  image: NewImage,
  file: Blob,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const made = await api.send<{ readonly id: string }>('POST', '/image/v2/images', {
    name: image.name,
    disk_format: image.diskFormat,
    container_format: 'bare',
    visibility: image.visibility,
  });
  try {
    await putFile(api, `/image/v2/images/${made.id}/file`, file, onProgress, signal);
  } catch (error) {
    await api.send('DELETE', `/image/v2/images/${made.id}`).catch(() => {});
    throw error;
  }
}

/** fetch cannot tell how much of a body has been sent; XMLHttpRequest can. */
async function putFile(api: Api, url: string, file: Blob, onProgress: (sentBytes: number) => void, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('PUT', url);
    request.setRequestHeader('x-auth-token', api.session.token);
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () =>
      request.status < 300
        ? resolve()
        : reject(
            new ApiRefusal(
              request.status,
              sentenceOf(request.responseText, request.status),
              request.getResponseHeader('x-openstack-request-id'),
            ),
          );
    request.onerror = () => reject(new Error('The connection was lost while the image was being sent.'));
    request.onabort = () => reject(new Error('The upload was cancelled.'));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}
