import { connectDocker } from '../../reconciler/engine/docker.ts'
import { pushWeb } from '../rig/images.ts'
import { useRig } from '../rig/use-rig.ts'
import { engineContract } from './engine.ts'

engineContract('Docker', async () => {
  const rig = useRig()
  const engine = await connectDocker(rig.dockerHost)
  const project = rig.project('contract')
  const name = `${rig.registry}/${project}`
  // A digest of this test's own: the engine may have the same image under the name of another test.
  const own = { name: project, extra: { Labels: { 'test.project': project } } }
  const good = { name, tag: '1.0.0', digest: await pushWeb(rig.registry, '1.0.0', 'good', own) }
  const better = { name, tag: '1.1.0', digest: await pushWeb(rig.registry, '1.1.0', 'good', own) }
  return {
    engine,
    project,
    good,
    better,
    missing: { name, tag: '9.9.9', digest: `sha256:${'0'.repeat(64)}` },
    stopByHand: async (instance) => void (await rig.docker.getContainer(instance).stop({ t: 1 })),
    removeByHand: async (instance) => void (await rig.docker.getContainer(instance).remove({ force: true })),
    async cleanUp() {
      for (const each of await engine.observe(project))
        await rig.docker.getContainer(each.instance).remove({ force: true })
      await engine.close()
    },
  }
})
