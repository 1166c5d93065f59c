/** Where a person goes after signing in: to the page that sent them here, if it is one of ours, else to `home`. As the browser reads it: to it `/\\else.where` is another site. */
export function nextPage(asked: string | null, home: string, origin: string): string {
  if (asked === null || !asked.startsWith('/') || !URL.canParse(asked, origin)) return home;
  const url = new URL(asked, origin);
  return url.origin === origin ? `${url.pathname}${url.search}${url.hash}` : home;
}
