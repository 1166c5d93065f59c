import { PageHead } from '../components/page-head.tsx';
import { words } from '../words.ts';

/** What a member reads at an administrator's URL. */
export const AdministratorRequired = () => (
  <>
    <PageHead title="Administrator" />
    <section className="panel">
      <p style={{ margin: 0 }}>{words.administratorRequired}</p>
    </section>
  </>
);
