import { Result } from 'antd';

export const NotFound = () => (
  <Result
    status="404"
    title="No such page"
    subTitle="The address may be from another version of the dashboard."
    extra={<a href="/">Go to the start page</a>}
  />
);
