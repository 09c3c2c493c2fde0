// Makes jose.json: requests with tokens that jose signs. See README.md.

import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { readFileSync, writeFileSync } from 'node:fs'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'

const HERE = new URL('.', import.meta.url)
const NOW = 1713312120
const { version } = createRequire(import.meta.url)('jose/package.json')

const ALGORITHMS = { RS256: 'js-rsa', ES256: 'js-ec', EdDSA: 'js-okp', Ed25519: 'js-okp' }
const KEYS = {
  'js-rsa': await generateKeyPair('RS256'),
  'js-ec': await generateKeyPair('ES256'),
  'js-okp': await generateKeyPair('Ed25519'),
}

const withoutNulls = (members) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null))

// A body whose hash differs between base64's two alphabets.
function writeBody(number, indent) {
  for (let attempt = 0; ; attempt++) {
    const envelope = {
      version: 'v1',
      webhookId: `js-${number}-${attempt}`,
      callbackUrl: 'https://example.conductor.one/api/v1/webhooks/callback/x',
      event: 'c1.webhooks.v1.PayloadTest',
      payload: { '@type': 'type.googleapis.com/c1.webhooks.v1.PayloadTest' },
    }
    const body = indent ? JSON.stringify(envelope, null, 2) + '\n' : JSON.stringify(envelope)
    const digest = createHash('sha256').update(body).digest('base64')
    if (digest.includes('+') && digest.includes('/')) return [envelope, body, digest]
  }
}

function writeHash(digest, form) {
  if (form.includes('url-safe')) digest = digest.replaceAll('+', '-').replaceAll('/', '_')
  return form.includes('unpadded') ? digest.replaceAll('=', '') : digest
}

async function makeRequest(number, alg, form) {
  const [envelope, body, digest] = writeBody(number, form.indent)
  const claims = {
    iss: 'example.conductor.one',
    aud: 'hooks.example.com',
    c1typ: 'wh',
    htm: 'POST',
    htu: 'https://hooks.example.com/webhooks',
    htb_s256: writeHash(digest, form.hash ?? ''),
    iat: NOW,
    nbf: NOW - 60,
    exp: NOW + 120,
    jti: `js-${number}`,
    ...form.claims,
  }
  const order = form.order ?? Object.keys(claims)
  const token = await new SignJWT(Object.fromEntries(order.map((name) => [name, claims[name]])))
    .setProtectedHeader(withoutNulls({ alg, kid: ALGORITHMS[alg], typ: 'JWT', ...form.header }))
    .sign(KEYS[ALGORITHMS[alg]].privateKey)
  const digests = { rfc9530: `sha-256=:${digest}:`, none: null }
  const headers = {
    authorization: `${form.scheme ?? 'bearer'} ${token}`,
    'content-digest': form.digest ? digests[form.digest] : `sha-256=${digest}`,
    'content-type': 'application/json',
    'webhook-version': envelope.version,
    'webhook-id': envelope.webhookId,
    'webhook-event': envelope.event,
    'webhook-callback-url': envelope.callbackUrl,
    ...form.http,
  }
  return {
    alg,
    form: form.name,
    method: 'POST',
    url: 'https://hooks.example.com/webhooks?source=c1',
    headers: withoutNulls(headers),
    body,
  }
}

const requests = []
for (const [index, form] of JSON.parse(readFileSync(new URL('forms.json', HERE))).entries()) {
  const names = Object.keys(ALGORITHMS)
  for (const alg of form.each ? names : [names[index % names.length]]) {
    requests.push(await makeRequest(requests.length, alg, form))
  }
}

const keys = []
for (const [kid, { publicKey }] of Object.entries(KEYS)) {
  keys.push({ ...(await exportJWK(publicKey)), kid })
}
const document = {
  made_with: `jose ${version}, Node ${process.versions.node}`,
  at: NOW,
  jwks: { keys },
  requests,
}
writeFileSync(new URL('jose.json', HERE), JSON.stringify(document, null, 1) + '\n')
