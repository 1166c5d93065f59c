import { findId } from '../cloud/find.ts';
import type { Command } from '../command.ts';
import { objectAt } from '../json.ts';
import { idInDomain, projectDomain } from './in-domain.ts';

/** With whom a shared image is shared. */
export const imageMembers: readonly Command[] = [
  {
    words: 'image add project',
    summary: 'Associate project with image',
    arguments: ['<image>', '<project>'],
    options: [projectDomain],
    output: 'show',
    run: async (cloud, input) => {
      const image = await findId(cloud, 'image', input.argument('image'));
      const member = await idInDomain(cloud, input, 'project', input.argument('project'));
      const made = objectAt({ made: await (await cloud.service('image')).post(`/images/${image}/members`, { member }) }, 'made');
      return [
        ['created_at', made.created_at ?? null],
        ['image_id', made.image_id ?? null],
        ['member_id', made.member_id ?? null],
        ['schema', made.schema ?? null],
        ['status', made.status ?? null],
        ['updated_at', made.updated_at ?? null],
      ];
    },
  },
  {
    words: 'image member list',
    summary: 'List projects associated with image',
    arguments: ['<image>'],
    // Nothing here is a project: the openstack command takes it all the same.
    options: [projectDomain],
    output: 'list',
    run: async (cloud, input) => {
      const image = await findId(cloud, 'image', input.argument('image'));
      const members = await (await cloud.service('image')).all(`/images/${image}/members`, 'members');
      return {
        columns: ['Image ID', 'Member ID', 'Status'],
        rows: members.map((each) => [each.image_id ?? null, each.member_id ?? null, each.status ?? null]),
      };
    },
  },
  {
    words: 'image remove project',
    summary: 'Disassociate project with image',
    arguments: ['<image>', '<project>'],
    options: [projectDomain],
    output: 'none',
    run: async (cloud, input) => {
      const project = await idInDomain(cloud, input, 'project', input.argument('project'));
      const image = await findId(cloud, 'image', input.argument('image'));
      await (await cloud.service('image')).delete(`/images/${image}/members/${project}`);
    },
  },
];
