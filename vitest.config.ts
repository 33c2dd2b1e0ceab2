import { defineConfig } from 'vitest/config'

/** Tests on real parts: an engine, a registry, a Git server. `unit` runs without any of them. */
const onTheEngine = [
  'test/{contracts,differential,crash,end-to-end,demo}/**/*.test.ts',
  'test/**/*.engine.test.ts',
]

export default defineConfig({
  test: {
    // Two cores are the smallest machine this must be pleasant on.
    maxWorkers: 2,
    // Stopping the engine, the containers of a failed test included.
    teardownTimeout: 60_000,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: onTheEngine,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'engine',
          include: onTheEngine,
          globalSetup: 'test/rig/global-setup.ts',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
