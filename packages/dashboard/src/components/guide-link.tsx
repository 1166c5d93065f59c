import { words } from '../words.ts';

/** To the guide, in a tab of its own: the dialog stays as it is. */
export const GuideLink = () => (
  <a href="/guide" target="_blank" rel="noreferrer">
    {words.guide}
  </a>
);
