import type { FastifyInstance } from 'fastify'
import { operationDocument } from '../documents.ts'
import { codeOf, sentenceOf } from '../errors.ts'
import type { Operation, Step } from '../journal/operation.ts'
import { operationLines } from '../shown-operation.ts'

export type OperationSource = {
  /**
   * @param text the id of an operation, or as much of its end as no other one has
   * @throws SamovarError `not-found` when there is none, or more than one
   */
  operation(text: string): { operation: Operation; steps: Step[] }
}

type Named = { Params: { id: string } }

const plain = { paint: (_colour: string, text: string) => text }

/** One operation as `samovar show` prints it, where the statuses of commits link to, and as a document. */
export function addOperationPages(server: FastifyInstance, source: OperationSource): void {
  server.get<Named>('/operations/:id', (request, reply) => {
    const found = find(source, request.params.id)
    void reply.type('text/plain; charset=utf-8')
    if (typeof found === 'string') return reply.code(404).send(`${found}\n`)
    return reply.send(`${operationLines(plain, found.operation, found.steps).join('\n')}\n`)
  })
  server.get<Named>('/api/operations/:id', (request, reply) => {
    const found = find(source, request.params.id)
    if (typeof found === 'string') return reply.code(404).send({ error: found })
    return reply.send(operationDocument(found.operation, found.steps))
  })
}

/** The operation, or why there is none to show. */
function find(source: OperationSource, id: string): ReturnType<OperationSource['operation']> | string {
  if (!/^[\w.-]+$/.test(id)) return 'there is no such operation'
  try {
    return source.operation(id)
  } catch (error) {
    if (codeOf(error) !== 'not-found') throw error
    return sentenceOf(error)
  }
}
