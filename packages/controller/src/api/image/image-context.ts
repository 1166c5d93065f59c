import type { ApiContext } from '../request-context.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';

export type ImageContext = ApiContext & { readonly config: { readonly imageDir: string } };
export type ImageRequest<Body = unknown> = ServiceRequest<Body, ImageContext>;
export type ImageRoute = ServiceRoute<ImageContext>;
