import { describe, expect, it } from 'vitest';
import { quotaChange, quotaRows } from './quota-rows.ts';

const set = {
  id: 'p1',
  instances: { limit: 4, in_use: 3 },
  cores: { limit: -1, in_use: 6 },
  ram: { limit: 8192, in_use: 512 },
  key_pairs: { limit: 100, in_use: 0 },
  something_new: { limit: 1, in_use: 1 },
};

describe('the quotas of a project', () => {
  it('are told with their use; without a limit, and without a sum where each has its own', () => {
    expect(quotaRows(set).map(({ title, used, limit, format }) => [title, used, limit, format(1024)])).toEqual([
      ['Instances', 3, 4, '1024'],
      ['vCPUs', 6, null, '1024'],
      ['Memory', 512, 8192, '1 GiB'],
      ['Key pairs of each user', null, 100, '1024'],
    ]);
  });

  it('are changed one by one: what is as it was is not sent, and empty means no limit', () => {
    const rows = quotaRows(set);
    expect(quotaChange(rows, { instances: 4, cores: null, ram: 8192, key_pairs: 100 })).toEqual({});
    expect(quotaChange(rows, { instances: null, cores: 0, ram: 8192, key_pairs: 100 })).toEqual({ instances: -1, cores: 0 });
  });
});
