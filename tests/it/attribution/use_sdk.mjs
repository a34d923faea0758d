// Uses both halves of the client package as its callers do, and prints what they get.
// node use_sdk.mjs <directory of the package> <api url> <key> <click> <landing address>
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [directory, apiUrl, apiKey, click, landing] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(directory, 'dist', file)));

// As much of a browser as the package looks at.
const stored = new Map();
globalThis.localStorage = {
  getItem: (name) => stored.get(name) ?? null,
  setItem: (name, value) => stored.set(name, value),
  removeItem: (name) => stored.delete(name),
};
globalThis.window = { location: { href: landing } };
globalThis.document = { cookie: `other=1; _cref=${click}` };

const { OpenPartner } = await load('browser.js');
const { OpenPartnerServer, OpenPartnerError } = await load('server.js');

const seen = {};
const faults = [];
const page = OpenPartner.init({ apiUrl, onError: (error) => faults.push({ status: error.status, code: error.code }) });
seen.cref = page.getCref();
seen.identified = await page.identify('grace@example.com');
seen.again = await page.identify('grace@example.com');

// A page that knows the click by the cookie alone.
stored.clear();
globalThis.window = { location: { href: 'https://shop.example/pricing' } };
seen.fromCookie = OpenPartner.init({ apiUrl }).getReferral();
stored.set('openpartner:cref', 'nothing-of-ours');
await page.identify('grace@example.com');
seen.faults = faults;

const server = new OpenPartnerServer({ apiUrl, apiKey });
seen.event = await server.trackEvent({
  userId: 'GRACE@example.com', type: 'invoice_paid', value: 249, currency: 'USD', metadata: { stripeInvoiceId: 'in_1' },
});
seen.stitched = await server.identify({ cref: click, userId: 'grace-account-7' });
const refused = async (call) => {
  try {
    return await call();
  } catch (error) {
    return { isOurs: error instanceof OpenPartnerError, status: error.status, code: error.code, detail: error.detail };
  }
};
seen.invalid = await refused(() => server.trackEvent({ userId: '', type: 'invoice_paid' }));
const stranger = new OpenPartnerServer({ apiUrl, apiKey: 'ak_unknown' });
seen.unauthorized = await refused(() => stranger.trackEvent({ userId: 'u', type: 't' }));
console.log(JSON.stringify(seen));
