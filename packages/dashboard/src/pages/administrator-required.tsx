import { Result } from 'antd';
import { words } from '../words.ts';

export const AdministratorRequired = () => <Result status="403" title="Not for this role" subTitle={words.administratorRequired} />;
