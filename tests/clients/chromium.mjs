// Chromium without a window: runs a piece of JavaScript in a page.
// Invariant: when it returns, the browser, its profile and the page's server are gone.

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * The value of `script` in a page on http://127.0.0.1, since a WebSocket from about:blank has the
 * origin `null`.
 */
export async function evaluateInPage(script) {
  const { chromium: browser } = await import('playwright-core');
  const profile = await mkdtemp(join(tmpdir(), 'tickwire-chromium-'));
  const site = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>tickwire</title>');
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const context = await browser.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    return await page.evaluate(script);
  } finally {
    await context.close();
    site.close();
    await rm(profile, { recursive: true, force: true });
  }
}
