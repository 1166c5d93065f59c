import { useEffect, useState } from 'react';

let tell: ((text: string) => void) | null = null;

/** Says one sentence to screen readers: outcomes, changes of phase, results of an action. Not every per cent. */
export function announce(text: string): void {
  tell?.(text);
}

/** The live region; one per page. */
export function Announcement() {
  const [text, setText] = useState('');
  useEffect(() => {
    tell = setText;
    return () => {
      tell = null;
    };
  }, []);
  return (
    <div role="status" aria-live="polite" className="visually-hidden">
      {text}
    </div>
  );
}
