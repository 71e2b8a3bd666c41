// Executes steps with a hub. The query has the steps and the URL for the report,
// which contains the results of the steps. In a URL, {} stands for the text of the
// last answer.
'use strict'

const query = new URLSearchParams(location.search)
const home = query.get('home')
const seen = []
const note = (type, data) => seen.push({ type, data, lastEventId: '' })
let last = ''

const post = (what, body) =>
  fetch(`${home}/run/${query.get('run')}/${what}`, { method: 'POST', body })

const fail = (why) => post('failure', String(why))
addEventListener('error', (event) => fail(event.message))
addEventListener('unhandledrejection', (event) => fail(event.reason))

const steps = {
  async fetch(url, options) {
    if (options.form) options.body = new URLSearchParams(options.form)
    try {
      const response = await fetch(url, options)
      last = (await response.text()).trim()
      const more = response.status < 400 ? '' : ` ${last}`
      note('answer', response.type === 'opaque' ? 'opaque' : response.status + more)
    } catch {
      note('answer', 'hidden') // a page cannot distinguish this from a request that was not sent
    }
  },

  // Opens an EventSource and closes it after the event "done".
  source(url, options) {
    return new Promise((resolve) => {
      const open = (url) => {
        const source = new EventSource(url, options)
        let id = ''
        source.onopen = () => post('receipt', 'open')
        source.onmessage = (event) => {
          note(event.type, event.data)
          id = event.lastEventId
          if (event.data !== 'done') return
          source.close()
          resolve()
        }
        source.onerror = () => {
          if (source.readyState !== EventSource.CLOSED) return
          if (options.again) return setTimeout(() => open(again(id)), 100)
          note('closed', '')
          resolve()
        }
      }
      // The page reconnects by hand if the browser does not reconnect.
      let asked = url
      const again = (id) => {
        if (id) asked = `${url}?lastEventId=${encodeURIComponent(id)}`
        return asked
      }
      open(url)
    })
  },

  image(url) {
    return new Promise((resolve) => {
      const image = new Image()
      image.onload = () => resolve(note('image', 'shown'))
      image.onerror = () => resolve(note('image', 'none'))
      image.src = url
    })
  },

  cookie: () => note('cookie', document.cookie),
}

async function main() {
  for (const { do: step, url, options } of JSON.parse(query.get('steps'))) {
    await steps[step]((url ?? '').replace('{}', encodeURIComponent(last)), options ?? {})
  }
  await post('report', JSON.stringify(seen))
  const next = await fetch(`${home}/next`, { cache: 'no-store' })
  location.replace(await next.text())
}

main().catch(fail)
