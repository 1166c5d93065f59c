/** `2026-01-31T12:00:00.123000`: UTC, microseconds (of which a Date has three digits), no zone. */
export const microTime = (date: Date): string => `${date.toISOString().slice(0, -1)}000`;

/** `2026-01-31T12:00:00Z` */
export const secondTime = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;
