import { type ReactNode, useEffect } from 'react';

/** The page's heading, with what can be done on the page beside it; also names the browser's tab. */
export function PageHead({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Godwit`;
  }, [title]);
  return (
    <div className="page-head">
      <h1>{title}</h1>
      <span className="grow" />
      {children}
    </div>
  );
}
