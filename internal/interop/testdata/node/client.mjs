// Does one run with a client from npm. The argument is JSON with the client, the
// URL and the options. The report is written to standard output.
import { Agent, fetch as undici } from 'undici'
import { EventSource } from 'eventsource'
import { createEventSource } from 'eventsource-client'
import require$ from '@microsoft/fetch-event-source'

const { fetchEventSource } = require$
const { client, url, types, home, http2, probe } = JSON.parse(process.argv[2])

// Node's own fetch is the same implementation, but supports only HTTP/1.1.
const agent = http2 && new Agent({ allowH2: true })
const fetch = agent
  ? (input, init) => undici(input, { ...init, dispatcher: agent })
  : globalThis.fetch

// Each client calls heard with every event and returns a function that ends it.
const clients = {
  eventsource(url, heard) {
    const source = new EventSource(url, { fetch })
    for (const type of types) {
      source.addEventListener(type, ({ type, data, lastEventId }) =>
        heard({ type, data, lastEventId }))
    }
    return () => source.close()
  },

  'eventsource-client'(url, heard) {
    const source = createEventSource({
      url,
      fetch,
      onMessage: ({ event, data }) =>
        heard({ type: event || 'message', data, lastEventId: source.lastEventId ?? '' }),
    })
    return () => source.close()
  },

  'fetch-event-source'(url, heard) {
    // The package expects a browser.
    globalThis.window ??= globalThis
    globalThis.document ??= { addEventListener() {}, removeEventListener() {} }
    const controller = new AbortController()
    fetchEventSource(url, {
      fetch,
      signal: controller.signal,
      openWhenHidden: true,
      onmessage: ({ event, data, id }) =>
        heard({ type: event || 'message', data, lastEventId: id }),
      // The way of this package to reconnect after a response that ended properly.
      onclose() { throw new Error('ended') },
    })
    return () => controller.abort()
  },
}

const events = []
const other = probe && clients[client](probe, () => {})
const close = clients[client](url, (event) => {
  events.push(event)
  if (event.type === 'receipt') {
    globalThis.fetch(`${home}/receipt`, { method: 'POST', body: event.data })
  }
  if (event.type === 'done') {
    close()
    other?.()
    process.stdout.write(JSON.stringify(events) + '\n', () => process.exit())
  }
})
