// Chromium without a window: runs a piece of JavaScript in a page, or whatever a caller does with a
// browser.
// Invariant: when these return, the browser, its profile and the page's server are gone.

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What `use` makes of a browser whose pages have these options (of playwright's contexts). */
export async function withBrowser(options, use) {
  const { chromium: browser } = await import('playwright-core');
  const profile = await mkdtemp(join(tmpdir(), 'tickwire-chromium-'));
  const context = await browser.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
    ...options,
  });
  try {
    return await use(context);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/**
 * The value of `script` in a page on http://127.0.0.1, since a WebSocket from about:blank has the
 * origin `null`.
 */
export async function evaluateInPage(script) {
  const site = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>tickwire</title>');
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  try {
    return await withBrowser({}, async (context) => {
      const page = await context.newPage();
      await page.goto(`http://127.0.0.1:${site.address().port}/`);
      return await page.evaluate(script);
    });
  } finally {
    site.close();
  }
}
