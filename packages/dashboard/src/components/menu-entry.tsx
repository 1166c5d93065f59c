/** An entry of a menu; one that is impossible now says why, below its name. */
export const MenuEntry = ({ title, reason }: { readonly title: string; readonly reason: string | null }) =>
  reason === null ? (
    title
  ) : (
    <span>
      {title}
      <span style={{ display: 'block', fontSize: 11, maxWidth: 340, whiteSpace: 'normal' }}>{reason}</span>
    </span>
  );
