/** The tables of migrations 0040 … 0059 (images, networks, scheduling). */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the migrations of this range
export interface ResourceTables {}
