/** The tables of migrations 0020 … 0039 (identity and compute API). */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the migrations of this range
export interface ApiTables {}
