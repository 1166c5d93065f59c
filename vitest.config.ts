import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files run in the order of their paths: e2e files are numbered, and a failure of the real ones is easier to read when the order never changes. */
class PathOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return [...files].sort((a, b) => a.moduleId.localeCompare(b.moduleId, 'en'));
  }
}

const SECOND_MS = 1000;
/** A poll waits for what must come: whoever has to see that something does not come looks otherwise. */
const expectation = { poll: { timeout: 15 * SECOND_MS } };
const ignored = ['**/node_modules/**', '**/dist/**', '**/.cache/**'];

// One project per stage of `make test`: tools/ci.ts runs them one after the other, `npx vitest run --project unit` runs one alone.
export default defineConfig({
  test: {
    allowOnly: false,
    teardownTimeout: 60 * SECOND_MS,
    sequence: { sequencer: PathOrder },
    projects: [
      {
        test: {
          name: 'unit',
          expect: expectation,
          include: ['packages/*/src/**/*.test.{ts,tsx}', 'tools/**/*.test.ts', 'bench/**/*.test.ts', 'chaos/**/*.test.ts'],
          exclude: [...ignored, '**/*.real.test.ts'],
          testTimeout: 20 * SECOND_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'real',
          expect: expectation,
          include: ['packages/*/src/**/*.real.test.ts', 'tools/**/*.real.test.ts'],
          exclude: ignored,
          globalSetup: 'packages/controller/src/store/testing/shared-server.ts',
          // Two: a file waits for its guests and timers as much as it computes. No two share a name, a port or a directory.
          maxWorkers: 2,
          testTimeout: 120 * SECOND_MS,
          hookTimeout: 60 * SECOND_MS,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          expect: expectation,
          include: ['e2e/**/*.e2e.ts'],
          exclude: ignored,
          // Two, each with a lab of its own: what they wait for is mostly a guest, a timer or a client.
          maxWorkers: 2,
          testTimeout: 300 * SECOND_MS,
          hookTimeout: 180 * SECOND_MS,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
