const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1.5 GiB`; a dash for what is not known. */
export function formatBytes(bytes: number | null): string {
  if (bytes === null) return '–';
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${significant(value)} ${binaryUnits[unit] ?? ''}`;
}

/** `412 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`; a dash for what is not known. */
export function formatDuration(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 1000) return `${significant(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return pair(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  return pair(Math.floor(minutes / 1440), 'd', Math.floor((minutes % 1440) / 60), 'h');
}

/** `12 s`, `4 min`, `3 h`, `2 d`: how long ago, in the largest whole unit. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** `503 GiB`, `2 TiB`. */
export const formatGib = (gib: number): string => (gib >= 1024 && gib % 256 === 0 ? `${gib / 1024} TiB` : `${gib} GiB`);

/** `1 vCPU`, `4 vCPUs`. */
export const formatVcpus = (count: number): string => `${count} ${count === 1 ? 'vCPU' : 'vCPUs'}`;

/** `512 MiB`, `4 GiB`, `23.5 GiB`: memory as operators write it; a tenth of a GiB is exact enough where there are many. */
export function formatMib(mib: number): string {
  if (mib < 1024 || (mib < 10_240 && mib % 256 !== 0)) return `${mib} MiB`;
  return mib % 256 === 0 ? `${mib / 1024} GiB` : `${(mib / 1024).toFixed(1)} GiB`;
}

const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;

const significant = (value: number): string =>
  Math.abs(value) >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);

/** A time of the compute API has no zone and is UTC; one of Godwit's own ends in Z. Milliseconds since 1970. */
export const parseTime = (text: string): number => Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
