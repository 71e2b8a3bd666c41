// Does one run with the browser's EventSource. The query has the stream, the options
// and the URL for the report. Then the server of the page returns the next page to
// open.
'use strict'

const query = new URLSearchParams(location.search)
const run = query.get('run')

const post = (what, body) =>
  fetch(`${query.get('home')}/run/${run}/${what}`, { method: 'POST', body })

const fail = (why) => post('failure', String(why))
addEventListener('error', (event) => fail(event.message))
addEventListener('unhandledrejection', (event) => fail(event.reason))

function read(url, types, withCredentials) {
  const events = []
  return new Promise((resolve) => {
    const open = (url) => {
      const source = new EventSource(url, { withCredentials })
      const listener = (event) => {
        const { type, data, lastEventId } = event
        events.push({ type, data, lastEventId })
        if (type === 'receipt') post('receipt', data)
        if (type === 'done') {
          source.close()
          resolve(events)
        }
      }
      for (const type of types) source.addEventListener(type, listener)
      source.addEventListener('error', () => {
        if (source.readyState !== EventSource.CLOSED) return
        if (!query.has('again')) return fail(`gave up: ${url}`)
        setTimeout(() => open(again(events.at(-1))), 100)
      })
    }
    // The page reconnects by hand if the browser does not reconnect.
    const again = (last) =>
      last ? `${url}&lastEventId=${encodeURIComponent(last.lastEventId)}` : url
    open(url)
  })
}

async function main() {
  if (run) {
    if (query.has('cookie')) {
      await fetch(query.get('cookie'), { credentials: 'include' })
    }
    const probe = query.has('probe') && new EventSource(query.get('probe'))
    const types = JSON.parse(query.get('types'))
    const events = await read(query.get('url'), types, query.has('credentials'))
    if (probe) probe.close()
    await post('report', JSON.stringify(events))
  }
  const next = await fetch('/next', { cache: 'no-store' })
  location.replace(await next.text())
}

main().catch(fail)
