import { Alert, Button, Card, Form, Input, Select, Typography } from 'antd';
import { useState } from 'react';
import { enterProject, isAdmin, type Project, proveUser, storeSession } from '../api/session.ts';
import { nextPage } from '../model/next-page.ts';

type Proven = { readonly token: string; readonly projects: readonly Project[] };

/** Name and password first; then the project, unless there is only one to choose. */
export function SignIn() {
  const search = new URLSearchParams(window.location.search);
  const [proven, setProven] = useState<Proven | null>(null);
  const [problem, setProblem] = useState<string | null>(search.has('expired') ? 'Your session has ended. Sign in again.' : null);
  const [busy, setBusy] = useState(false);

  const attempt = async (step: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    try {
      await step();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  const enter = async (token: string, projectId: string) => {
    const session = await enterProject(token, projectId);
    storeSession(session);
    const home = isAdmin(session) ? '/admin/instances' : '/project/instances';
    window.location.assign(nextPage(search.get('next'), home, window.location.origin));
  };
  const prove = async (values: { readonly user: string; readonly password: string }) =>
    attempt(async () => {
      const answer = await proveUser(values.user, values.password);
      const [only, ...others] = answer.projects;
      if (only === undefined) setProblem('You have no role in any project. Ask your administrator for one.');
      else if (others.length === 0) await enter(answer.token, only.id);
      else setProven(answer);
    });

  return (
    <main style={{ minHeight: '100vh', display: 'grid', placeItems: 'center', padding: 16 }}>
      <Card style={{ width: 360, maxWidth: '100%' }}>
        <Typography.Title level={1} style={{ fontSize: 22, marginTop: 0 }}>
          Godwit
        </Typography.Title>
        {problem !== null && <Alert type="error" showIcon title={problem} style={{ marginBottom: 12 }} role="alert" />}
        {proven === null ? (
          <Form layout="vertical" requiredMark={false} onFinish={prove} disabled={busy}>
            <Form.Item label="User name" name="user" rules={[{ required: true, message: 'Enter your user name.' }]}>
              <Input autoFocus autoComplete="username" />
            </Form.Item>
            <Form.Item label="Password" name="password" rules={[{ required: true, message: 'Enter your password.' }]}>
              <Input.Password autoComplete="current-password" />
            </Form.Item>
            <Button type="primary" htmlType="submit" block loading={busy}>
              Sign in
            </Button>
          </Form>
        ) : (
          <Form
            layout="vertical"
            disabled={busy}
            initialValues={{ project: proven.projects[0]?.id }}
            onFinish={async ({ project }: { project: string }) => attempt(async () => enter(proven.token, project))}
          >
            <Form.Item label="Project" name="project">
              <Select autoFocus options={proven.projects.map((project) => ({ value: project.id, label: project.name }))} />
            </Form.Item>
            <Button type="primary" htmlType="submit" block loading={busy}>
              Continue
            </Button>
          </Form>
        )}
      </Card>
    </main>
  );
}
