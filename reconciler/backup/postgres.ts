/**
 * PostgreSQL in a container: dumped and restored by its own programs there, over the Engine. No password is ever needed
 * or passed: the server lets its administrator in through its socket, as the official image does.
 */
export { checkInScratch, type ScratchCheck } from './postgres-check.ts'
export { type Dump, openDump } from './postgres-dump.ts'
export { type DatabaseToLoad, loadDatabase, readDump } from './postgres-restore.ts'
export { dumpRoles } from './postgres-roles.ts'
export { findServer } from './postgres-server.ts'
export type { DatabaseServer } from './postgres-session.ts'
export { dropDatabase, keptAside, type RestoreNames, switchInDatabase } from './postgres-switch.ts'
