import { Dialog } from '../components/dialog.tsx';
import { useSession } from '../components/signed-in.tsx';
import { openrcText } from '../model/openrc.ts';

/** Offers the file for the `openstack` client. The password never leaves the person: the file asks for it when it is sourced. */
export function OpenrcDialog({ onClose }: { readonly onClose: () => void }) {
  const session = useSession();
  const save = (): void => {
    const text = openrcText({
      authUrl: `${window.location.origin}/identity/v3`,
      userName: session.user.name,
      projectName: session.project.name,
      region: 'RegionOne',
    });
    const url = URL.createObjectURL(new Blob([text], { type: 'text/x-shellscript' }));
    const link = Object.assign(document.createElement('a'), { href: url, download: 'openrc.sh' });
    link.click();
    URL.revokeObjectURL(url);
    onClose();
  };
  return (
    <Dialog title="Download openrc.sh" okText="Download" onOk={save} onCancel={onClose}>
      <p>
        For the <code>openstack</code> command as {session.user.name} in project {session.project.name}. The file asks for your password
        when you source it; it never contains it.
      </p>
      <pre className="console" style={{ minHeight: 0 }}>
        source openrc.sh{'\n'}openstack server list
      </pre>
    </Dialog>
  );
}
