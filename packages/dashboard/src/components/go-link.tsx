import type { useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';

/** A link for messages, which are drawn outside the router: goes by the router all the same, so that what this tab has collected is kept. */
export const GoLink = (props: { readonly to: string; readonly navigate: ReturnType<typeof useNavigate>; readonly children: ReactNode }) => (
  <a
    href={props.to}
    onClick={(event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      void props.navigate({ to: props.to });
    }}
  >
    {props.children}
  </a>
);
