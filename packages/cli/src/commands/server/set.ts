import { find, findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { type Json, textAt } from '../../json.ts';
import { keyValues } from '../../key-values.ts';

export const serverSet: readonly Command[] = [
  {
    words: 'server set',
    summary: 'Set server properties',
    arguments: ['<server>'],
    options: [
      { flags: '--name <new-name>', description: 'new name' },
      { flags: '--description <description>', description: 'new description (2.19)' },
      { flags: '--hostname <hostname>', description: 'new host name within the guest (2.90)' },
      { flags: '--property <key=value>', description: 'property to add or change, can be repeated', repeat: true },
      { flags: '--state <state>', description: 'new state (admin only; changes the record, not the guest)', choices: ['active', 'error'] },
      { flags: '--password <password>', description: 'new password of its administrator, where the guest takes one' },
      { flags: '--no-password', description: 'forget the password that the guest has told' },
      { flags: '--tag <tag>', description: 'tag to add, can be repeated (2.26)', repeat: true },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const compute = await cloud.compute();
      if (input.text('description') !== null) cloud.require(19, 'support the --description option');
      if (input.text('hostname') !== null) cloud.require(90, 'support the --hostname option');
      if (input.texts('tag').length > 0) cloud.require(26, 'support the --tag option');
      const properties = keyValues(input.texts('property'), 'property');
      const id = await findId(cloud, 'server', input.argument('server'));
      const change: Record<string, Json> = {};
      for (const name of ['name', 'description', 'hostname']) {
        const value = input.text(name);
        if (value !== null) change[name] = value;
      }
      if (Object.keys(change).length > 0) await compute.put(`/servers/${id}`, { server: change });
      if (Object.keys(properties).length > 0) await compute.post(`/servers/${id}/metadata`, { metadata: properties });
      const state = input.text('state');
      if (state !== null) await compute.post(`/servers/${id}/action`, { 'os-resetState': { state } });
      const password = input.text('password');
      if (password !== null) await compute.post(`/servers/${id}/action`, { changePassword: { adminPass: password } });
      if (input.flag('no-password')) await compute.delete(`/servers/${id}/os-server-password`);
      for (const tag of input.texts('tag')) await compute.put(`/servers/${id}/tags/${encodeURIComponent(tag)}`);
    },
  },
  {
    words: 'server unset',
    summary: 'Unset server properties and tags',
    arguments: ['<server>'],
    options: [
      { flags: '--property <key>', description: 'property key to remove, can be repeated', repeat: true },
      { flags: '--description', description: 'empty the description (2.19)' },
      { flags: '--tag <tag>', description: 'tag to remove, can be repeated (2.26)', repeat: true },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const compute = await cloud.compute();
      if (input.flag('description')) cloud.require(19, 'support the --description option');
      if (input.texts('tag').length > 0) cloud.require(26, 'support the --tag option');
      const id = textAt(await find(cloud, 'server', input.argument('server')), 'id');
      for (const key of input.texts('property')) await compute.delete(`/servers/${id}/metadata/${encodeURIComponent(key)}`);
      if (input.flag('description')) await compute.put(`/servers/${id}`, { server: { description: '' } });
      for (const tag of input.texts('tag')) await compute.delete(`/servers/${id}/tags/${encodeURIComponent(tag)}`);
    },
  },
];
