// A PLC directory and a Personal Data Server on free ports of 127.0.0.1, for tests.
//
//   node server.mjs '{"install": FOLDER, "data": FOLDER, "adminPassword": TEXT, "bypassKey": TEXT,
//                     "rateLimit": null | {"points": N, "seconds": N}}'
//
// When both answer, one line of JSON is printed: {"pds": URL, "plc": URL}. The process ends when its standard input does.

import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const options = JSON.parse(process.argv[2])
process.stdin.on('end', () => process.exit(0)).resume()

const require = createRequire(join(options.install, 'package.json'))
const load = (name) => import(pathToFileURL(require.resolve(name)))

// Both servers call app.listen(port), which would bind every interface. This gives them a server that listens already.
async function listenLocally() {
  const server = http.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const attach = (app) => {
    server.on('request', app)
    app.listen = () => {
      process.nextTick(() => server.emit('listening'))
      return server
    }
  }
  const { port } = server.address()
  return { port, url: `http://127.0.0.1:${port}`, attach }
}

async function startPlc() {
  const { Database, PlcServer } = require('@did-plc/server')
  const place = await listenLocally()
  const plc = PlcServer.create({ db: Database.mock() })
  place.attach(plc.app)
  await plc.start()
  return place
}

// The limit of all requests from one address, which the server fixes at 3000 in 5 minutes.
function changeGlobalLimit({ points, seconds }) {
  const { RateLimiterMemory } = require('rate-limiter-flexible')
  const consume = RateLimiterMemory.prototype.consume
  RateLimiterMemory.prototype.consume = function (...values) {
    if (this.keyPrefix === 'rl-global-ip') Object.assign(this, { points, duration: seconds })
    return consume.apply(this, values)
  }
}

async function startPds(plcPort) {
  const { PDS, envToCfg, envToSecrets } = await load('@atproto/pds')
  const place = await listenLocally()
  const blobs = join(options.data, 'blobs')
  for (const folder of [options.data, blobs]) mkdirSync(folder, { recursive: true })
  const settings = {
    port: place.port,
    hostname: 'localhost',
    devMode: true,
    dataDirectory: options.data,
    blobstoreDiskLocation: blobs,
    didPlcUrl: `http://localhost:${plcPort}`, // an IP address is refused
    serviceHandleDomains: ['.test'],
    inviteRequired: false,
    crawlers: [],
    rateLimitsEnabled: options.rateLimit !== null,
    rateLimitBypassKey: options.bypassKey,
    jwtSecret: randomBytes(16).toString('hex'),
    dpopSecret: randomBytes(32).toString('hex'),
    adminPassword: options.adminPassword,
    plcRotationKeyK256PrivateKeyHex: randomBytes(32).toString('hex'),
  }
  const config = envToCfg(settings)
  config.service.publicUrl = place.url // what an account's DID document names as its server
  if (options.rateLimit) changeGlobalLimit(options.rateLimit)
  const pds = await PDS.create(config, envToSecrets(settings))
  place.attach(pds.app)
  await pds.start()
  return place.url
}

const plc = await startPlc()
const pds = await startPds(plc.port)
process.stdout.write(JSON.stringify({ pds, plc: plc.url }) + '\n')
