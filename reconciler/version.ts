import manifest from '../package.json' with { type: 'json' }

/** Samovar's own version. */
export const version: string = manifest.version
