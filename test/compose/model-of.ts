import type { ContainerContext } from '../../reconciler/compose/container-body.ts'
import { type ComposeModel, type ComposeService, modelOf } from '../../reconciler/compose/model.ts'

/** A model of one service `web`, as Compose would print it. */
export function modelWith(web: ComposeService, rest: Record<string, unknown> = {}): ComposeModel {
  const networks = { default: { name: 'shop_default' }, back: { name: 'shop_back' } }
  const printed = { services: { web: { image: 'web:1', ...web } }, networks, ...rest }
  return modelOf(printed, { project: 'shop', composeVersion: '2.26.1', directory: '/checkout' })
}

export const context: ContainerContext = {
  image: 'web:1@sha256:aa',
  imageId: 'sha256:bb',
  configHash: 'cc',
  renderedFile: '/state/compose.json',
  containers: {},
  apiVersion: '1.48',
}
