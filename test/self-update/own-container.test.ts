import { describe, expect, test } from 'vitest'
import { containerIn } from '../../reconciler/self-update/own-container.ts'
import { imageOf, plan, running, standing, target } from '../plan/given.ts'

const id = '5f0c2d6b7a8e9f000102030405060708090a0b0c0d0e0f101112131415161718'

describe('the container that Samovar runs in', () => {
  test('is found by the files that Docker mounts into it, with the network of the host as well', () => {
    const mountinfo = `612 598 0:56 / / ro,relatime - overlay overlay rw
613 612 8:1 /var/lib/docker/containers/${id}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
614 612 8:1 /var/lib/docker/containers/${id}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw`
    expect(containerIn(mountinfo, '0::/\n')).toBe(id)
  })

  test.each([
    ['Docker with control groups of version 1', `12:pids:/docker/${id}\n1:name=systemd:/docker/${id}\n`],
    ['Docker under systemd', `0::/system.slice/docker-${id}.scope\n`],
  ])('is found by its control group: %s', (_, cgroup) => {
    expect(containerIn('', cgroup)).toBe(id)
  })

  test('is none on a host, where the folders of all containers are seen', () => {
    const mountinfo = `25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
90 25 0:45 / /var/lib/docker/containers/${id}/mounts/shm rw - tmpfs shm rw
91 25 8:1 /var/lib/docker/containers/${id}/hostname /srv/looked-at rw - ext4 /dev/sda1 rw`
    expect(containerIn(mountinfo, '0::/system.slice/samovar.service\n')).toBe(null)
  })
})

describe('a change that would stop the container Samovar runs in', () => {
  const own = standing({ ownContainer: 'samovar-1' })
  const current = running({ service: 'samovar', name: 'host-samovar-1', instance: 'samovar-1' })

  test('is held with what to do, also with `apply --now`', () => {
    const wanted = target({ service: 'samovar', image: imageOf('1.1.0'), imageId: 'id of 1.1.0' })
    const [change] = plan({
      targets: [wanted],
      running: [current],
      standing: { ...own, ignoreWindows: true },
    }).changes
    expect(change?.action).toBe('replace')
    expect(change?.held).toMatch(
      /^Samovar runs in host-samovar-1 and is not replaced by itself; next: update it from the host/,
    )
  })

  test('is held when the service leaves the desired state', () => {
    const { changes } = plan({ running: [current, running()], standing: own, prune: true })
    expect(changes.find((each) => each.service === 'samovar')).toMatchObject({
      action: 'remove',
      held: expect.stringContaining('is not removed by itself'),
    })
  })

  test('is no concern of other services, nor of one that runs elsewhere', () => {
    const wanted = target({ service: 'samovar', image: imageOf('1.1.0'), imageId: 'id of 1.1.0' })
    for (const ownContainer of ['another', null]) {
      const [change] = plan({
        targets: [wanted],
        running: [current],
        standing: standing({ ownContainer }),
      }).changes
      expect(change).toMatchObject({ action: 'replace', held: null })
    }
  })
})
