import type { DatabaseSync } from 'node:sqlite'

/** A version that nobody wants: it was reverted here, or its pull request was closed unmerged. */
export type RefusedVersion = {
  service: string
  image: string
  tag: string
  /** Empty: whatever the tag holds. */
  digest: string
  /** For a person. */
  why: string
  at: number
}

/** An event of Diun, as a hint which repository to look into; `at` is the earliest moment to do so. */
export type RepositoryHint = { repository: string; at: number }

/** The plan that was last told on a pull request. */
export type ToldPlan = {
  number: number
  /** Head of the pull request that was planned. */
  head: string
  /** Commit that was in force on the host then. */
  against: string
  /** Fingerprint of what it said would be done. */
  plan: string
  /** What was said of it: `success` when it can be done. */
  state: string
  at: number
  /** The commit it was merged as; null as long as it is not. */
  merged: string | null
  /** What came of it was told on the pull request. */
  ended: boolean
}

/** A pull request of the bot: what it proposes, and what became of it. */
export type Proposal = {
  number: number
  kind: 'bump' | 'revert'
  service: string
  tag: string
  digest: string
  /** Of a revert: the operation that failed. */
  operation: string | null
  branch: string
  /** The commit that Samovar itself made there last: nothing else on the branch is merged without a person. */
  head: string
  /** `open` until somebody merged or closed it; `replaced` when the bot itself closed it. */
  state: 'open' | 'merged' | 'closed' | 'replaced'
  at: number
}

/** What the journal knows of webhooks, versions, plans on pull requests and the bot's own pull requests. */
export function openForgeRecords(database: DatabaseSync) {
  return {
    /**
     * Remembers a delivery of a webhook.
     * @returns false when it was there before: a replay
     */
    firstDelivery(id: string, now: number): boolean {
      const added = database.prepare('insert or ignore into deliveries values (?, ?)').run(id, now).changes
      return Number(added) > 0
    },
    /** Deliveries older than this are forgotten, and of the rest only the newest stay. */
    forgetDeliveries(before: number, keep: number): void {
      database.prepare('delete from deliveries where at < ?').run(before)
      database
        .prepare(
          'delete from deliveries where id not in (select id from deliveries order by at desc limit ?)',
        )
        .run(keep)
    },

    /** One row a repository, however many events come. */
    hintRepository(repository: string, now: number): void {
      database.prepare('insert or replace into hints values (?, ?)').run(repository, now)
    },
    hints(): RepositoryHint[] {
      return database
        .prepare('select * from hints order by at')
        .all()
        .map((row) => ({ repository: String(row['repository']), at: Number(row['at']) }))
    },
    /** A hint that came again meanwhile stays. */
    hintDone(hint: RepositoryHint): void {
      database.prepare('delete from hints where repository = ? and at = ?').run(hint.repository, hint.at)
    },

    /** When a version was first seen here; the first call for it says now. */
    firstSeen(image: string, tag: string, digest: string, now: number): number {
      database.prepare('insert or ignore into seen values (?, ?, ?, ?)').run(image, tag, digest, now)
      const row = database
        .prepare('select at from seen where image = ? and tag = ? and digest = ?')
        .get(image, tag, digest)
      return Number(row?.['at'] ?? now)
    },

    refuseVersion(version: RefusedVersion): void {
      database
        .prepare('insert or replace into refused values (?, ?, ?, ?, ?, ?)')
        .run(version.service, version.image, version.tag, version.digest, version.why, version.at)
    },
    /** A person wants to try again, whatever it was. True when a version was refused. */
    allowVersions(service: string): boolean {
      const { changes } = database.prepare('delete from refused where service = ?').run(service)
      return Number(changes) > 0
    },
    /** That one reason does not count any more; a version that was refused for another stays so. */
    takeRefusalBack(service: string, why: string): void {
      database.prepare('delete from refused where service = ? and why = ?').run(service, why)
    },
    refusedVersions(service: string): RefusedVersion[] {
      return database
        .prepare('select * from refused where service = ?')
        .all(service)
        .map((row) => ({
          service,
          image: String(row['image']),
          tag: String(row['tag']),
          digest: String(row['digest']),
          why: String(row['why']),
          at: Number(row['at']),
        }))
    },

    rememberPlan(told: ToldPlan): void {
      database
        .prepare('insert or replace into told_plans values (?, ?, ?, ?, ?, ?, ?, ?)')
        .run(
          told.number,
          told.head,
          told.against,
          told.plan,
          told.state,
          told.at,
          told.merged,
          told.ended ? 1 : 0,
        )
    },
    toldPlan(number: number): ToldPlan | null {
      const row = database.prepare('select * from told_plans where number = ?').get(number)
      return row === undefined ? null : planOf(row)
    },
    /** Plans whose end nobody was told yet, newest first. */
    openPlans(): ToldPlan[] {
      return database
        .prepare('select * from told_plans where ended = 0 order by number desc')
        .all()
        .map(planOf)
    },

    saveProposal(proposal: Proposal): void {
      database
        .prepare('insert or replace into proposals values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
        .run(
          proposal.number,
          proposal.kind,
          proposal.service,
          proposal.tag,
          proposal.digest,
          proposal.operation,
          proposal.branch,
          proposal.head,
          proposal.state,
          proposal.at,
        )
    },
    /** Newest first. */
    proposals(state: Proposal['state']): Proposal[] {
      return database
        .prepare('select * from proposals where state = ? order by number desc')
        .all(state)
        .map(proposalOf)
    },
    proposal(number: number): Proposal | null {
      const row = database.prepare('select * from proposals where number = ?').get(number)
      return row === undefined ? null : proposalOf(row)
    },
    /** When versions were first seen matters for those of late only. */
    forgetSeen(keep: number): void {
      database
        .prepare('delete from seen where rowid not in (select rowid from seen order by at desc limit ?)')
        .run(keep)
    },
    /** Those that ended, and their plans, beyond the newest so many. */
    forgetProposals(keep: number): void {
      const old = 'number not in (select number from NAME order by number desc limit ?)'
      database
        .prepare(`delete from proposals where state != 'open' and ${old.replace('NAME', 'proposals')}`)
        .run(keep)
      database
        .prepare(`delete from told_plans where ended = 1 and ${old.replace('NAME', 'told_plans')}`)
        .run(keep)
    },
    /** The pull request that takes an operation back, or null. */
    revertOf(operation: string): Proposal | null {
      const row = database
        .prepare("select * from proposals where operation = ? and kind = 'revert' order by number desc")
        .get(operation)
      return row === undefined ? null : proposalOf(row)
    },
  }
}

const planOf = (row: Record<string, unknown>): ToldPlan => ({
  number: Number(row['number']),
  head: String(row['head']),
  against: String(row['against']),
  plan: String(row['plan']),
  state: String(row['state']),
  at: Number(row['at']),
  merged: row['merged'] === null ? null : String(row['merged']),
  ended: Number(row['ended']) === 1,
})

const proposalOf = (row: Record<string, unknown>): Proposal => ({
  number: Number(row['number']),
  kind: row['kind'] as Proposal['kind'],
  service: String(row['service']),
  tag: String(row['tag']),
  digest: String(row['digest']),
  operation: row['operation'] === null ? null : String(row['operation']),
  branch: String(row['branch']),
  head: String(row['head']),
  state: row['state'] as Proposal['state'],
  at: Number(row['at']),
})
