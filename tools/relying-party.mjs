// A certified relying-party library written by others (openid-client) signs in
// and refreshes against a running demo:
//
//   node tools/relying-party.mjs FILE      FILE: what `rempart demo --ready FILE` wrote
//
// It prints one line a step and ends with "ok"; anything unexpected throws.
import { readFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import { Issuer, generators, custom } from 'openid-client';

custom.setHttpOptionsDefaults({ timeout: 20000 });
const demo = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const acme = demo.organizations.find((o) => o.slug === 'acme');
const person = acme.members.find((m) => m.totp_secret);
const web = demo.clients.find((c) => c.name === 'web');

function expect(condition, what) {
  if (!condition) throw new Error('expected ' + what);
  console.log(what);
}

function totp(secret, at = Date.now()) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  const offset = mac[mac.length - 1] & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1000000).padStart(6, '0');
}

// A browser of a few lines: cookies, redirects, the first form of each page.
const cookies = new Map();
async function request(url, options = {}) {
  const res = await fetch(url, { ...options, redirect: 'manual', headers: { ...options.headers, cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join('; ') } });
  for (const line of res.headers.getSetCookie()) {
    const [pair, ...rest] = line.split('; ');
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    if (rest.some((a) => /^max-age=0$/i.test(a)) || value === '') cookies.delete(name);
    else cookies.set(name, value);
  }
  return res;
}
const unescape = (s) => s.replace(/&#(\d+);/g, (_, n) => String.fromCharCode(n)).replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');
const attributes = (tag) => Object.fromEntries([...tag.matchAll(/([a-z-]+)="([^"]*)"/g)].map((m) => [m[1], unescape(m[2])]));

async function signIn(url) {
  let res = await request(url);
  const seen = [];
  for (let step = 0; step < 20; step++) {
    const to = res.headers.get('location');
    if (to) {
      const next = new URL(to, url).href;
      if (next.startsWith(web.redirect_uris[0])) return { callback: next, seen };
      url = next;
      res = await request(url);
      continue;
    }
    const html = await res.text();
    const name = html.match(/<main[^>]*data-page="([^"]+)"/)?.[1];
    seen.push(name);
    const form = html.match(/<form([^>]*)>([\s\S]*?)<\/form>/);
    if (!form) throw new Error(`no form at ${url}: ${res.status} ${html.slice(0, 300)}`);
    const body = new URLSearchParams();
    for (const tag of form[2].match(/<(?:input|button)[^>]*>/g) ?? []) {
      const a = attributes(tag);
      if (!a.name) continue;
      if (a.name === 'email') body.set('email', person.email);
      else if (a.name === 'password') body.set('password', person.password);
      else if (a.name === 'code') body.set('code', totp(person.totp_secret));
      else if (a.type === 'hidden' && !body.has(a.name)) body.set(a.name, a.value ?? '');
    }
    url = new URL(attributes(form[1]).action ?? '', url).href;
    res = await request(url, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  }
  throw new Error('too many steps: ' + seen.join(', '));
}

const issuer = await Issuer.discover(demo.issuer);
expect(issuer.issuer === demo.issuer, 'discovery names the issuer');
const client = new issuer.Client({ client_id: web.client_id, client_secret: web.client_secret, redirect_uris: [web.redirect_uris[0]], response_types: ['code'], id_token_signed_response_alg: 'ES256' });
const check = { state: generators.state(), nonce: generators.nonce(), code_verifier: generators.codeVerifier(), response_type: 'code' };
const { callback, seen } = await signIn(client.authorizationUrl({ scope: 'openid profile email offline_access', state: check.state, nonce: check.nonce, code_challenge: generators.codeChallenge(check.code_verifier), code_challenge_method: 'S256' }));
expect(seen.join(' ') === 'identify password totp', 'the pages are identify, password, totp');
const tokens = await client.callback(web.redirect_uris[0], client.callbackParams(callback), check);
expect(tokens.claims().sub === person.id, 'the ID token is about the person');
expect(tokens.claims().org_id === acme.id, 'and names her organization');
expect(['pwd', 'otp', 'mfa'].every((m) => tokens.claims().amr.includes(m)), 'and how she proved herself');
const info = await client.userinfo(tokens);
expect(info.email === person.email, 'userinfo gives her address');
const refreshed = await client.refresh(tokens.refresh_token);
expect(refreshed.refresh_token && refreshed.refresh_token !== tokens.refresh_token, 'a refresh rotates the token');
expect((await client.introspect(refreshed.access_token)).active === true, 'introspection says active');
await client.revoke(refreshed.refresh_token);
expect((await client.introspect(refreshed.access_token)).active === false, 'and not after revocation');
let refused = '';
try { await client.refresh(refreshed.refresh_token); } catch (e) { refused = e.error; }
expect(refused === 'invalid_grant', 'nor can it be refreshed');
console.log('ok');
