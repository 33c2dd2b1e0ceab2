import { pretendHost } from '../../reconciler/engine/in-memory.ts'
import { engineContract } from '../contracts/engine.ts'

engineContract('in-memory', async () => {
  const host = pretendHost()
  const name = 'registry.example.com/web'
  const image = (tag: string) => ({ name, tag, digest: host.publish(`${name}:${tag}`) })
  const byHand = (instance: string) => host.containers.get(instance)
  return {
    engine: host.engine,
    project: 'story',
    good: image('1.0.0'),
    better: image('1.1.0'),
    missing: { name, tag: '9.9.9', digest: `sha256:${'0'.repeat(64)}` },
    async stopByHand(instance) {
      host.byHand(
        'web',
        (container) => {
          if (container === byHand(instance)) container.state = 'exited'
        },
        'die',
      )
    },
    removeByHand: async (instance) => void host.containers.delete(instance),
    cleanUp: async () => undefined,
  }
})
