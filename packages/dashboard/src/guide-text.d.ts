/** The text of docs/live-migration.md; vite.config.ts puts it in. */
declare const GUIDE_TEXT: string;
