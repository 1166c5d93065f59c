/**
 * The words operators read, in one table that pages and tests share. Migration statuses are not here: they keep the API's own words.
 */
export const words = {
  actions: {
    'live-migrate': 'Live Migrate',
    migrate: 'Migrate',
    'confirm-resize': 'Confirm Resize or Migrate',
    'revert-resize': 'Revert Resize or Migrate',
    start: 'Start',
    stop: 'Stop',
    pause: 'Pause',
    unpause: 'Unpause',
    reboot: 'Reboot',
    'console-output': 'Console',
    delete: 'Delete',
  },
  bulkLiveMigrate: 'Bulk Live Migrate',
  more: 'More',
  launchInstance: 'Launch Instance',
  dialog: { confirm: 'Confirm', cancel: 'Cancel' },
  fields: { instance: 'Instance', currentHost: 'Current Host', destinationHost: 'Destination Host', blockMigrate: 'Block Migrate' },
  bulkFields: { sourceHost: 'Source Host', parallel: 'At the same time', moveOthers: 'Move others to make room', reason: 'Reason' },
  operations: {
    bulk: 'Bulk Live Migrate',
    drain: 'Drain',
    maintenance: 'Maintenance',
    rolling: 'Rolling maintenance',
    restore: 'Bring back',
    evacuate: 'Evacuate',
  },
  commands: { pause: 'Pause', resume: 'Resume', abort: 'Abort the rest', retry: 'Retry failed only' },
  automatic: 'Automatic',
  administratorRequired: 'Administrator access required: this needs the `admin` role. Contact your administrator.',
  views: { administrator: 'Administrator', project: 'Project' },
  tabs: { overview: 'Overview', migrations: 'Migrations', actions: 'Action log', console: 'Console' },
  consoles: { serial: 'Serial', display: 'Display', log: 'Log' },
  guide: 'Guide to live migration',
  export: 'Export',
  forceComplete: 'Force complete',
  abort: 'Abort',
  revert: 'Revert',
} as const;

/** Instance status words by the API's status. A status that is not listed is shown as the API spells it. */
export const statusWords: Readonly<Record<string, string>> = {
  ACTIVE: 'Active',
  PAUSED: 'Paused',
  SHUTOFF: 'Shutoff',
  MIGRATING: 'Migrating',
  RESIZE: 'Resize',
  VERIFY_RESIZE: 'Verify Resize',
  REVERT_RESIZE: 'Revert Resize',
  BUILD: 'Build',
  ERROR: 'Error',
  SUSPENDED: 'Suspended',
  REBOOT: 'Reboot',
  HARD_REBOOT: 'Reboot',
};

export const statusWord = (status: string): string => statusWords[status] ?? status;
